"""Encode each sentence in one of the processes, and gather the embeddings in all of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tercet._distributed import is_first_process, rank, world_size
from tercet._gather import gather_rows


class DistributedEncoder:
    """A wrapper of a model whose `encode` splits the sentences over the processes and gathers all embeddings.

    Args:
        model: the model. All attributes and methods except `encode` are those of the model.
        columns: arguments of `encode`, such as `prompt` and `task`: one dictionary for all sentences; or several, each
            for as many consecutive sentences, as for anchors, positives and negatives. By default none.
    """

    def __init__(self, model: Any, columns: Sequence[Mapping[str, Any]] = ()) -> None:
        self.model, self._columns = model, columns

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def encode(self, sentences: list[str], *, convert_to_tensor: bool, **options: Any) -> Tensor:
        """Return the embeddings `(num_sentences, dim)` of all sentences in every process. All processes must call it.

        Args:
            sentences: the sentences, the same in every process.
            convert_to_tensor: not used, because the result is always a tensor; `SentenceTransformer.encode` has it too.
            **options: other arguments of the model's `encode`. Only the first process shows a progress bar.
        """
        options["show_progress_bar"] = options.get("show_progress_bar", False) and is_first_process()
        if not self._columns:
            return self._encode(sentences, **options)
        size = len(sentences) // len(self._columns)
        parts = [sentences[number * size : (number + 1) * size] for number in range(len(self._columns))]
        return torch.cat(
            [self._encode(part, **column, **options) for part, column in zip(parts, self._columns, strict=True)]
        )

    def _encode(self, sentences: list[str], **options: Any) -> Tensor:
        if world_size() == 1:
            embeddings: Tensor = self.model.encode(sentences, convert_to_tensor=True, **options)
            return embeddings
        indices = torch.arange(rank(), len(sentences), world_size(), device=self.model.device)
        own_sentences = [sentences[index] for index in indices.tolist()]
        own_embeddings = self.model.encode(own_sentences, convert_to_tensor=True, **options)
        gathered, gathered_indices, _ = gather_rows(own_embeddings, indices)
        return torch.empty_like(gathered).index_copy_(0, gathered_indices, gathered)
