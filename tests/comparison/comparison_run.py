"""A comparison of two variants with two seeds on a tiny model, resumed if there is something to resume.

Usage: comparison_run.py MODEL OUTPUT
"""

import sys
from pathlib import Path

from datasets import Dataset

from tercet import SentenceTransformer
from tercet.comparison.compare import Plan, compare
from tercet.comparison.plan import variants_of
from tercet.runs.settings import RunSettings
from tests.conftest import TOPICS

PLAN = Plan(
    variants_of(["loss=batch-all,batch-hard"]),
    seeds=(3, 4),
    settings=RunSettings(max_steps=10, batch_size=8, samples_per_label=2, learning_rate=1e-3),
)


class Load:
    """The model of a folder, on the CPU."""

    def __init__(self, folder: object) -> None:
        self.folder = folder

    def __call__(self) -> SentenceTransformer:
        return SentenceTransformer(str(self.folder), device="cpu")


def labelled() -> Dataset:
    rows = [(text, name) for name, topic in TOPICS.items() for text in topic]
    return Dataset.from_dict({"sentence": [text for text, _ in rows], "label": [name for _, name in rows]})


if __name__ == "__main__":
    output = Path(sys.argv[2])
    compare(Load(sys.argv[1]), labelled(), labelled(), output, PLAN, resume=(output / "compare.json").exists())
