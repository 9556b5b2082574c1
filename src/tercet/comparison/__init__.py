"""Compare losses, encoders and settings over several seeds, and recommend one variant.

    api.py                  compare: the public function, which the command of the same name calls
    plan.py                 Plan and Variant
    grid.py                 parse_grid: the grid of losses, encoders and settings
    loop.py                 run_comparison: the loop over seeds and variants, which can be resumed
    budget.py               the number of steps of each run
    baselines.py            each model before training
    trial.py                run_trial: one run with early stopping, which saves the best state
    subprocess_runner.py    run a function in a spawned subprocess
    store.py                open a record to start or resume it, check and write it
    files.py                read compare.json; check, publish and remove files
    significance.py         paired differences over seeds, with Student's t distribution
    recommendation.py       summarize the runs of each variant, and recommend a variant
    peak_memory.py          measure the peak memory of a process

Importing this package imports neither torch nor NumPy.
"""

from tercet.comparison.api import compare
from tercet.comparison.grid import parse_grid
from tercet.comparison.plan import Plan, Variant

__all__ = ["Plan", "Variant", "compare", "parse_grid"]
