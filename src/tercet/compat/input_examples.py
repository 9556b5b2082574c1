"""InputExample and SentenceLabelDataset, the training data of sentence-transformers before version 3.

New code passes a `datasets.Dataset` to the trainer, and `batch_sampler="group_by_label"`.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import IterableDataset

logger = logging.getLogger("tercet")


class InputExample:
    """The texts and the label of one training example.

    Args:
        guid: an identifier, which is not used.
        texts: one text with a label, or the three texts of a triplet.
        label: the label.
    """

    def __init__(self, guid: str = "", texts: list[str] | None = None, label: Any = 0) -> None:
        self.guid, self.texts, self.label = guid, texts, label

    def __str__(self) -> str:
        return f"<InputExample> label: {self.label}, texts: {'; '.join(self.texts or [])}"


class SentenceLabelDataset(IterableDataset[InputExample]):
    """Examples in groups of the same label. Each epoch draws as many examples as there are, with `np.random`.

    Labels are visited in random order, again and again. Each visit draws `samples_per_label` different examples. Labels
    with fewer examples are left out. The examples are those that sentence-transformers draws with the same seed.

    Args:
        examples: examples with one text each.
        samples_per_label: the number of examples of a label in a row, at least 1.
        with_replacement: not used: every visit draws from all examples of a label, as in sentence-transformers.
    """

    def __init__(self, examples: Sequence[Any], samples_per_label: int = 2, with_replacement: bool = False) -> None:
        super().__init__()
        self.samples_per_label, self.with_replacement = samples_per_label, with_replacement
        by_label: dict[Any, list[Any]] = {}
        for example in examples:
            by_label.setdefault(example.label, []).append(example)
        self._groups = [group for group in by_label.values() if len(group) >= samples_per_label]
        self.grouped_inputs = [example for group in self._groups for example in group]
        self.label_range = np.arange(len(self._groups))
        np.random.shuffle(self.label_range)
        logger.info(
            f"{len(self.grouped_inputs)} of {len(examples)} examples have a label with at least {samples_per_label} "
            f"examples; there are {len(self._groups)} such labels"
        )

    def __iter__(self) -> Iterator[Any]:
        drawn = visits = 0
        while drawn < len(self.grouped_inputs):
            group = self._groups[self.label_range[visits]]
            for number in np.random.choice(len(group), self.samples_per_label, replace=False):
                drawn += 1
                yield group[number]
            visits += 1
            if visits == len(self.label_range):
                visits = 0
                np.random.shuffle(self.label_range)

    def __len__(self) -> int:
        return len(self.grouped_inputs)
