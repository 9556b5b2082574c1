"""The rows of a prepared data set that a data loader reads: token ids, or texts for a custom collator.

Rows                 rows that were tokenized once
ColumnConverter      converts drawn texts of a column; it can be sent to a spawned worker process
TextRows             rows of a large data set, which are tokenized each time a row is read
TransformedRows      rows of a data set with a transform, which is applied and tokenized each time a row is read
distinct_tokens      the ids of all tokens that were tokenized once
ConcatenatedRows     the rows of several data sets, of which each batch has those of one
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from torch.utils.data import ConcatDataset, Dataset

from tercet._texts import check_texts
from tercet.data.tables.dataset_columns import label_ids_of
from tercet.encoder.modules.input_module import InputModule
from tercet.errors import DataError

TOKEN_IDS = "{}_input_ids"
# A function from a prepared column and drawn texts of it to the key and the values of a batch.
Convert: TypeAlias = Callable[[str, list[str]], tuple[str, list[Any]]]


def rows_of(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return columns of equal length as rows.

    Example:
        >>> rows_of({"sentence_input_ids": [[1, 2], [3]], "label": [0, 1]})
        [{'sentence_input_ids': [1, 2], 'label': 0}, {'sentence_input_ids': [3], 'label': 1}]
    """
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def distinct_tokens(tokens: Any) -> np.ndarray:
    """Return the ids of all tokens of a data set that `collate.tokenize` returned, `(num_ids,)`."""
    columns = [tokens.data.column(name) for name in tokens.column_names if name.endswith(TOKEN_IDS.format(""))]
    found = [np.unique(chunk.flatten().to_numpy()) for column in columns for chunk in column.chunks]
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)


class ColumnConverter:
    """A `Convert` that adds the prompts and tokenizes.

    Args:
        prompts: the prompt of each prepared column.
        tokenizers: the module that tokenizes each prepared column; None if the values are texts.
    """

    def __init__(self, prompts: Mapping[str, str], tokenizers: Mapping[str, InputModule] | None) -> None:
        self._prompts, self._tokenizers = prompts, tokenizers

    def __call__(self, role: str, texts: list[str]) -> tuple[str, list[Any]]:
        """Return the key in a batch, and the token ids or the texts."""
        prompt = self._prompts.get(role, "")
        texts = [prompt + text for text in texts]
        if self._tokenizers is None:
            return role, texts
        return TOKEN_IDS.format(role), self._tokenizers[role].token_ids(texts)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the weights of the encoder, for a spawned worker process."""
        modules = self._tokenizers
        light = None if modules is None else {role: module.without_weights() for role, module in modules.items()}
        return {"_prompts": self._prompts, "_tokenizers": light}


class Rows(Dataset[dict[str, Any]]):
    """Rows with token ids, or with texts.

    Args:
        prepared: the prepared data set, with the columns `sentence` and `label`, or those of triplets.
        rows: a `datasets.Dataset` with the same rows and the columns of a batch.
        name: the name of the data set, which is added to each row; None adds none.
    """

    def __init__(self, prepared: Any, rows: Any, name: str | None) -> None:
        self.prepared, self.rows, self.name = prepared, rows, name

    def __len__(self) -> int:
        return len(self.prepared)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        """Return the rows with these numbers."""
        rows = self._read(indices)
        return rows if self.name is None else [{**row, "dataset_name": self.name} for row in rows]

    def _read(self, indices: list[int]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.rows.__getitems__(indices)
        return rows


class TransformedRows(Rows):
    """Rows of a data set with a transform (`set_transform`), such as an augmentation of the texts.

    Args:
        prepared: the prepared data set, made of one draw of all rows.
        source: the data set of the user.
        columns: the prepared column of each text column of `source`.
        labels: the name of the label column of `source` and the labels of the draw; None for triplets.
        convert: see `Convert`.
        name: as in `Rows`.
    """

    def __init__(
        self,
        prepared: Any,
        source: Any,
        columns: Mapping[str, str],
        labels: tuple[str, list[Any]] | None,
        convert: Convert,
        name: str | None,
    ) -> None:
        super().__init__(prepared, source, name)
        self._columns, self._labels, self._convert = columns, labels, convert
        self._label_ids = None if labels is None else label_ids_of(prepared)

    def _read(self, indices: list[int]) -> list[dict[str, Any]]:
        drawn = self.rows[indices]
        batch: dict[str, Any] = {}
        for column, role in self._columns.items():
            texts = check_texts(list(drawn[column]), f"the transform of the data set, column {column!r}")
            if len(texts) != len(indices):
                raise DataError(
                    f"the transform of the data set returned {len(texts)} texts for {len(indices)} rows; it must "
                    "return one for each row"
                )
            key, values = self._convert(role, texts)
            batch[key] = values
        if self._labels is not None and self._label_ids is not None:
            name, first = self._labels
            if any(label != first[index] for label, index in zip(drawn[name], indices, strict=True)):
                raise DataError("the transform of the data set must not change a label from one draw to the next")
            batch["label"] = self._label_ids[indices].tolist()
        return rows_of(batch)


class TextRows(Rows):
    """Rows of a large data set, whose texts are tokenized each time they are read, so that no token ids are kept.

    Args:
        prepared: the prepared data set.
        convert: as in `TransformedRows`.
        name: as in `Rows`.
    """

    def __init__(self, prepared: Any, convert: Convert, name: str | None) -> None:
        super().__init__(prepared, prepared, name)
        self._convert = convert

    def _read(self, indices: list[int]) -> list[dict[str, Any]]:
        drawn = self.rows[indices]
        batch = dict(self._convert(name, drawn[name]) for name in drawn if name != "label")
        if "label" in drawn:
            batch["label"] = drawn["label"]
        return rows_of(batch)


class ConcatenatedRows(ConcatDataset[dict[str, Any]]):
    """The rows of several data sets, one after the other. Each batch has rows of one data set."""

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        """Return the rows with these numbers.

        Raises:
            DataError: they belong to several data sets.
        """
        which = bisect_right(self.cumulative_sizes, indices[0])
        start = self.cumulative_sizes[which - 1] if which else 0
        stop = self.cumulative_sizes[which]
        if not all(start <= index < stop for index in indices):
            raise DataError("a batch has rows of several data sets; multi_dataset_batch_sampler must not mix them")
        rows: Any = self.datasets[which]
        found: list[dict[str, Any]] = rows.__getitems__([index - start for index in indices])
        return found
