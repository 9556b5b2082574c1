"""The examples run as they stand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tercet import SentenceTransformer

pytestmark = pytest.mark.slow

_EXAMPLES = Path(__file__).parents[1] / "examples"


def test_train_from_python(bert, csv_file, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, _EXAMPLES / "train_from_python.py", bert, csv_file, tmp_path / "model"],
        env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "nearest to 'the team lost':" in done.stdout
    assert SentenceTransformer(tmp_path / "model", device="cpu").training_record.after["map@r"] >= 0
