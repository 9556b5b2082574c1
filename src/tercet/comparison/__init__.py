"""Comparisons: which loss, margin or distance is better, beyond the noise of seeds?

    public.py               compare: the function for users, and for the command of the same name
    plan.py                 Plan and Variant, and the grid of losses, margins and distances
    run.py                  run_comparison: the loop over seeds and variants; it can be resumed
    trial.py                one run: train with early stopping, save the best state
    subprocess_runner.py    a function in a spawned subprocess
    store.py                compare.json: read, write, and check that it fits
    significance.py         paired differences over seeds, Student's t
    recommendation.py       runs → summary of each variant → recommendation with its reason
    peak_memory.py          peak memory of a process

Importing this package imports neither torch nor NumPy.
"""

from tercet.comparison.plan import Plan, Variant, parse_grid
from tercet.comparison.public import compare

__all__ = ["Plan", "Variant", "compare", "parse_grid"]
