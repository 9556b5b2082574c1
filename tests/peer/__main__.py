"""Run the tests of sentence-transformers with the import swapped: `make test-peer ST_TESTS=folder`.

The folder is a checkout of the repository of sentence-transformers, at a version near the one that is installed. Its
source distribution has no tests of models, losses or the trainer, so without a folder this prints how to get one.

Each test runs twice: with sentence-transformers itself, then with Tercet in its place. Only tests that pass the first
time count. A test of `failing.txt` may fail. Entries that pass now are printed.

Exit status: 0, or 1 if a test fails that is not in the list.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.peer.stand_ins import build_cache

HERE = Path(__file__).parent
SCOPE = (HERE / "scope.txt").read_text().split()
FAILING = HERE / "failing.txt"
_NO_TESTS = (
    "skipped: the tests of sentence-transformers are in its repository, and not in its source distribution; run\n"
    "  git clone https://github.com/huggingface/sentence-transformers FOLDER\n"
    "  make test-peer ST_TESTS=FOLDER"
)


def run_suite(checkout: Path, output: Path, *, swaps: bool, paths: list[str]) -> dict[str, dict[str, Any]]:
    """Run the tests in a process of their own, and return the outcome of each."""
    results = output / f"{'tercet' if swaps else 'sentence-transformers'}.jsonl"
    results.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "PEER_SWAP": str(int(swaps)),
        "PEER_RESULTS": str(results),
        "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "HF_HUB_CACHE": str(output / "hub"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    options = ["-q", "-p", "peer_plugin", "-p", "no:cacheprovider", "--tb=no", "-o", "addopts=", "-W", "ignore"]
    subprocess.run(
        [sys.executable, "-m", "pytest", *options, *paths],
        cwd=checkout,
        env=environment,
        stdout=sys.stderr,
        check=False,
    )
    return {result["test"]: result for result in map(json.loads, results.read_text().splitlines())}


def function_of(test: str) -> str:
    """Return the name of a test without its parameters and the folder of all tests."""
    return test.partition("[")[0].removeprefix("tests/")


def read_reasons() -> dict[str, str]:
    """Return the reason of each function in the list of failing tests."""
    lines = [line for line in FAILING.read_text().splitlines() if line and not line.startswith("#")]
    return {function.strip(): reason.strip() for function, _, reason in (line.partition(" | ") for line in lines)}


def main() -> int:
    """Run both suites, print the numbers, and return the exit status."""
    parser = argparse.ArgumentParser(description="Run the tests of sentence-transformers on Tercet.")
    parser.add_argument("--checkout", help="a checkout of the repository of sentence-transformers")
    parser.add_argument("--output", type=Path, default=Path("peer-tests"), help="the folder of results and stand-ins")
    parser.add_argument("paths", nargs="*", default=SCOPE, help="the tests to run, relative to the checkout")
    arguments = parser.parse_args()
    if not arguments.checkout:
        print(_NO_TESTS)
        return 0
    output = arguments.output.resolve()
    build_cache(output / "hub")
    checkout = Path(arguments.checkout)
    theirs = run_suite(checkout, output, swaps=False, paths=arguments.paths)
    ours = run_suite(checkout, output, swaps=True, paths=arguments.paths)
    return report(theirs, ours)


def report(theirs: dict[str, dict[str, Any]], ours: dict[str, dict[str, Any]]) -> int:
    """Print the numbers, and the tests that differ from the list. Return the exit status."""
    counted = [test for test, result in theirs.items() if result["outcome"] == "passed"]
    missing: dict[str, Any] = {"outcome": "failed", "touched": True, "message": "not collected"}
    results = {test: ours.get(test, missing) for test in counted}
    kinds = Counter(
        "failed" if result["outcome"] != "passed" else "passed on Tercet" if result["touched"] else "touches no Tercet"
        for result in results.values()
    )
    print(f"{len(theirs)} tests in scope, {len(counted)} pass with sentence-transformers; of these: {dict(kinds)}")
    failed = {function_of(test): result for test, result in results.items() if result["outcome"] != "passed"}
    reasons = read_reasons()
    unexpected = sorted(set(failed) - set(reasons))
    ran = {function_of(test) for test in counted}
    solved = sorted(function for function in set(reasons) - set(failed) if function in ran)
    for function in unexpected:
        print(f"fails without a reason in failing.txt: {function}: {failed[function]['message']}")
    for function in solved:
        print(f"passes now, remove it from failing.txt: {function}")
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
