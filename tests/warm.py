"""Processes that start at once, because they are forked from one that has imported the libraries (see `warm_up.py`).

Python has one fork server, and the last list of modules to import is the one that counts. So all tests use this one.
"""

import multiprocessing

WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload(["tests.warm_up"])
