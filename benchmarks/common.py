"""What the benchmarks share: data, models, and processes of their own."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tercet.comparison.peak_memory import peak_mib as peak_mib


def labelled(folder: Path, name: str, part: str = "train") -> tuple[list[str], list[int]]:
    """The texts and label numbers of `folder/name/train.csv`; ends the program if there are none."""
    path = folder / name / f"{part}.csv"
    if not path.exists():
        sys.exit(f"no data set at {path.parent}: it needs {path.name} with the columns text and label (--data DIR)")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = {label: code for code, label in enumerate(sorted({row["label"] for row in rows}))}
    return [row["text"] for row in rows], [numbers[row["label"]] for row in rows]


def model_folder(name: str) -> str:
    """A folder that both libraries load: the packaged all-MiniLM-L6-v2, or the one that is named."""
    if name != "bundled":
        if not Path(name).is_dir():
            sys.exit(f"no model folder at {name}")
        return name
    from tercet.encoder.loading import encoder_folder

    return str(encoder_folder())


def alone(script: str, options: dict[str, Any]) -> dict[str, Any]:
    """What `script --one OPTIONS` prints as JSON on its last line, run in a process of its own."""
    done = subprocess.run([sys.executable, script, "--one", json.dumps(options)], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{script} failed with {options}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
