"""What a test gives to a process that it starts: this clone's modules, one thread, no GPU."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {
    **os.environ,
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
}


def start_tercet(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """`tercet …`, its errors in a pipe; it can be interrupted even where the tests themselves ignore Ctrl-C."""
    return subprocess.Popen(
        [sys.executable, "-m", "tercet", *map(str, arguments)],
        env=ENVIRONMENT, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options,
    )  # fmt: skip
