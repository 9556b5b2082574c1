"""Metrics before and after one epoch of `tercet train`, run twice with the same seed, which must give equal numbers.

    python benchmarks/quality.py --data DIR [--set banking77] [--runs 2] [--output FILE.json]

DIR has a folder per data set with train.csv and test.csv (columns text, label). The encoder is the packaged
all-MiniLM-L6-v2; 16 × 4 batches, learning rate 5e-5, SemiHard with margin 0.3, 10 % warm-up, linear decay.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tercet.catalogue import protocol_title


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", default="banking77")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    folder = arguments.data / arguments.set
    if not (folder / "train.csv").exists():
        sys.exit(f"no data set at {folder}: it needs train.csv and test.csv with the columns text and label")
    results, seconds = [], []
    for run in range(arguments.runs):
        with tempfile.TemporaryDirectory() as output:
            command = [
                sys.executable, "-m", "tercet", "train", folder / "train.csv", "--eval-data", folder / "test.csv",
                "--model", "bundled", "--output", Path(output) / "model", "--seed", "0", "--json",
            ]  # fmt: skip
            start = time.perf_counter()
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            seconds.append(time.perf_counter() - start)
        results.append(json.loads(done.stdout))
        print(f"run {run + 1}: {seconds[run]:.0f} s")
        for protocol, measured in results[run]["evaluation"].items():
            before, after = measured["before"], measured["after"]
            print(f"  {protocol_title(protocol)}: {measured['rows']['measured']} rows")
            for name in before:
                print(f"    {name:24} {before[name]:.4f} → {after[name]:.4f}")
    equal = all(result["evaluation"] == results[0]["evaluation"] for result in results)
    print(f"the {len(results)} runs give {'the same' if equal else 'DIFFERENT'} numbers")
    if arguments.output:
        arguments.output.write_text(json.dumps({"results": results, "seconds": seconds, "equal": equal}, indent=2))
    if not equal:
        sys.exit("the same seed gave different numbers")


if __name__ == "__main__":
    main()
