"""Benchmarks print their tables from the results in the repository, and name files that exist."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.child import ENVIRONMENT

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (
            "--tables full --modes untouched auto --sets banking77 clinc150 hwu64",
            r"\| MAP@R \| 0\.\d{3} → 0\.\d{3} ± 0\.\d{3} \|",
        ),
        (
            "--tables full --modes untouched auto --sets hwu64 --seeds 0 --bf16",
            r"\| accuracy of the saved classifier, % \| \d\d\.\d \|",
        ),
        (
            "--tables few --few 5 --modes untouched encoder both --sets hwu64 --bf16",
            r"\| hwu64 \| MiniLM \| 5 \| encoder \| 0\.\d{3} ± 0\.\d{3} \|",
        ),
    ],
)
def test_tables_of_quality_come_from_the_results_in_the_repository(selection, expected, tmp_path):
    results = tmp_path / "quality.json"
    shutil.copy(BENCHMARKS / "results" / "quality.json", results)
    command = [BENCHMARKS / "quality.py", "--data", tmp_path / "absent", "--encoders", "MiniLM", "--skip-peer"]
    done = subprocess.run(
        [sys.executable, *map(str, command), "--output", str(results), *selection.split()],
        text=True, capture_output=True, timeout=300, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(expected, done.stdout)
    assert results.read_bytes() == (BENCHMARKS / "results" / "quality.json").read_bytes()


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.name)
def test_files_of_the_project_that_a_benchmark_names_exist(path):
    named = re.findall(r"\b(?:tests|docs|src)/[\w/.-]+\.(?:py|md)\b", path.read_text("utf-8"))
    assert not [name for name in named if not (BENCHMARKS.parent / name).exists()]
