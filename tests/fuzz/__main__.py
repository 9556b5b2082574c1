"""Run the fuzzers for a time: `python -m tests.fuzz --minutes 60`. Every finding is printed with its area and seed."""

import argparse
import logging
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from tests.fuzz.areas import AREAS
from tests.fuzz.outcome import Result, run_case


def main() -> int:
    """Run the cases by turns; return 1 if there was a finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--area", choices=sorted(AREAS), help="one area alone")
    parser.add_argument("--cases", type=int, help="cases of each area, instead of a time")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    disable_progress_bar()
    warnings.simplefilter("ignore")
    areas = [AREAS[options.area]] if options.area else list(AREAS.values())
    counts: Counter[tuple[str, str]] = Counter()
    findings: list[Result] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        states = {area.name: area.prepare(folder / area.name) for area in areas}
        seed, end = options.seed, time.monotonic() + options.minutes * 60
        while time.monotonic() < end and (options.cases is None or seed < options.seed + options.cases):
            for area in areas:
                place = folder / "case"
                result = run_case(area, states[area.name], seed, place)
                shutil.rmtree(place)
                counts[area.name, result.ending] += 1
                if result.ending == "finding":
                    findings.append(result)
                    print(f"{result.area} --seed {result.seed}: {result.text}", flush=True)
            seed += 1
    for (area_name, ending), count in sorted(counts.items()):
        print(f"{area_name:16} {ending:8} {count:7,}")
    print(f"{len(findings)} findings in {sum(counts.values()):,} cases")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
