"""A comparison on a tiny model and tiny data, for the tests of comparisons."""

from pathlib import Path

from datasets import Dataset

from tercet import SentenceTransformer
from tercet.comparison import Plan, parse_grid
from tercet.runs import RunSettings
from tests.conftest import EVALUATION_TOPICS, TOPICS

PLAN = Plan(
    variants=parse_grid(["loss=batch-all,batch-hard"]),
    seeds=(3, 4),
    settings=RunSettings(max_steps=10, batch_size=8, samples_per_label=2, learning_rate=1e-3),
)


class Load:
    """Load the model of a folder, on the CPU."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = folder

    def __call__(self) -> SentenceTransformer:
        return SentenceTransformer(str(self.folder), device="cpu")


def labelled_data(topics: dict[str, list[str]] = TOPICS) -> Dataset:
    rows = [(text, name) for name, topic in topics.items() for text in topic]
    return Dataset.from_dict({"sentence": [text for text, _ in rows], "label": [name for _, name in rows]})


def evaluation_data() -> Dataset:
    return labelled_data(EVALUATION_TOPICS)
