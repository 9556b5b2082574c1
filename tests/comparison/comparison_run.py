"""A comparison of two variants with two seeds on a tiny model, resumed if it was started before; the test kills it.

Usage: comparison_run.py MODEL OUTPUT
"""

import sys
from pathlib import Path

from tercet.comparison.loop import run_comparison
from tests.comparison.helpers import PLAN, Load, evaluation_data, labelled_data

if __name__ == "__main__":
    output = Path(sys.argv[2])
    resume = (output / "compare.json").exists()
    run_comparison({None: Load(sys.argv[1])}, labelled_data(), evaluation_data(), output, PLAN, resume=resume)
