"""A time limit in several processes, each of which has used another time so far."""

import os
from pathlib import Path

from datasets import Dataset

from tercet._distributed import leave_group
from tercet.runs import RunSettings
from tercet.runs.time_limit import plan_steps
from tests.conftest import TOPICS
from tests.trainer.helpers import make_trainer


def main(model_folder: Path, output: Path) -> None:
    """Write the number of steps of this rank."""
    columns = {
        "text": [text for topic in TOPICS.values() for text in topic],
        "label": [name for name, topic in TOPICS.items() for _ in topic],
    }
    changes = {"use_cpu": True, "per_device_train_batch_size": 4}
    trainer = make_trainer(model_folder, output, Dataset.from_dict(columns), changes=changes)
    settings, rank = RunSettings(time_limit=400.0, epochs=10**6, batch_size=8), os.environ["RANK"]
    steps = plan_steps(trainer, settings, None, elapsed=100.0 * int(rank), reserve=0.0, can_skip=True)
    (output / f"rank{rank}").write_text(str(steps))
    leave_group()
