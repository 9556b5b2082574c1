"""Let threads that wait for each other free their processor soon.

Importing this module imports neither torch nor NumPy.
"""

import os

# On two quiet processors a training step takes the same time with 20,000 rounds as with the default of libgomp, which
# is 300,000, and 4 % more with 10,000. dev/LOG.md has the measurements.
_SPIN_COUNT = 20_000


def wait_briefly() -> None:
    """Set how long a thread of libgomp waits on its processor, unless the user has set it.

    A parallel operation of PyTorch ends when its last thread ends, and the other threads wait in a loop. If a second
    process needs these processors, the last thread cannot run meanwhile: a training step took 3.4 s beside a second
    training, and 0.3 s alone. libgomp reads the variable when it is loaded, so call this before torch is imported.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(_SPIN_COUNT))
