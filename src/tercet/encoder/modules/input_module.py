"""InputModule: the base class of modules that tokenize texts, the first module of a model."""

import copy
from collections.abc import Collection
from typing import Any, Self

from torch import nn

from tercet._display import truncate
from tercet._events import WarningKind
from tercet.encoder.features import Features
from tercet.encoder.modules.base import Module
from tercet.encoder.token_stats import TokenStats
from tercet.errors import ModelError


class InputModule(Module):
    """A module that turns texts into token ids, and token ids into embeddings.

    Attributes:
        tokenizer: the tokenizer.
        do_lower_case: whether to lowercase the texts before tokenization.
        packing: whether batches are computed without padding.
        warned: the kinds of warnings about texts that were emitted.
    """

    tokenizer: Any
    do_lower_case: bool = False
    packing: bool = True
    warned: set[WarningKind]

    @property
    def max_seq_length(self) -> int | None:
        """The maximum number of tokens of a text; None if there is no limit."""
        raise NotImplementedError

    @max_seq_length.setter
    def max_seq_length(self, value: int | None) -> None:
        raise NotImplementedError

    @property
    def hidden_size(self) -> int:
        """The dimension of the embeddings."""
        raise NotImplementedError

    @property
    def num_tokens(self) -> int:
        """The number of tokens in the vocabulary."""
        return len(self.tokenizer)

    @property
    def special_ids(self) -> Collection[int]:
        """The ids of special tokens, such as the end of a text."""
        ids: list[int] = self.tokenizer.all_special_ids
        return ids

    @property
    def word_embeddings(self) -> nn.Module:
        """The layer of the word embeddings."""
        raise NotImplementedError

    def tokenize(self, texts: list[str]) -> Features:
        """Tokenize texts into a batch on the CPU, truncated to `max_seq_length`."""
        raise NotImplementedError

    def preprocess(self, inputs: list[str], prompt: str | None = None) -> Features:
        """Tokenize texts as `tokenize` does, after a prompt.

        Returns:
            The features of `tokenize`; with a prompt also `prompt_length`, which `Pooling` can leave out. No features
            without texts.
        """
        if not len(inputs):
            return {}
        features = self.tokenize([prompt + text for text in inputs] if prompt else list(inputs))
        return {**features, "prompt_length": self.prompt_length(prompt)} if prompt else features

    def token_ids(self, texts: list[str], stats: TokenStats | None = None) -> list[list[int]]:
        """Return the token ids of each text, truncated to `max_seq_length`.

        Args:
            texts: the texts.
            stats: the counts of truncated texts and of unknown tokens are added to it.
        """
        raise NotImplementedError

    def token_counts(self, texts: list[str]) -> list[int]:
        """Return the number of tokens of each text before truncation."""
        raise NotImplementedError

    def test_batch(self) -> tuple[Features, bool]:
        """Return a batch of two texts to test the model with, and whether their tokens differ."""
        raise NotImplementedError

    def prompt_length(self, prompt: str) -> int:
        """Return the number of tokens of a prompt, including leading special tokens but not a final special token."""
        (ids,) = self.token_ids([prompt])
        return len(ids) - (bool(ids) and ids[-1] in self.special_ids)

    def for_task(self, task: str | None) -> "InputModule":
        """Return the module that tokenizes the texts of a task: this one, except for a `Router`."""
        return self

    def log_default_route(self) -> None:
        """Log, once, which route texts without a task take, if there are several: none, except of a `Router`."""

    def without_weights(self) -> Self:
        """Return a copy that tokenizes texts but has no weights, which a worker process can be given."""
        part = copy.copy(self)
        part._parameters, part._buffers, part._modules = {}, {}, {}
        return part

    def check_prompt(self, prompt: str) -> None:
        """Raise `ModelError` if a prompt leaves no room for a word within `max_seq_length`."""
        if prompt and self.max_seq_length is not None:
            (count,) = self.token_counts([prompt])
            if count >= self.max_seq_length:
                raise ModelError(
                    f"the prompt {truncate(prompt, 60)!r} has {count} tokens with the special tokens, and "
                    f"max_seq_length is {self.max_seq_length}, so that no word would be left; shorten the prompt"
                )

    def token_settings(self) -> tuple[Any, ...]:
        """Return what the token ids of a text depend on. If it is unchanged, so are the ids."""
        return (self.tokenizer, self.num_tokens, self.max_seq_length, self.do_lower_case)


def other_row(ids: list[int], special: Collection[int], vocabulary: int) -> list[int]:
    """Return token ids of the same length with another word, for a test that two texts differ.

    The words are another token, so that the rows differ for a vocabulary in any language.
    """
    other = next((id_ for id_ in range(vocabulary - 1, 0, -1) if id_ not in special and id_ not in ids), 0)
    return [id_ if id_ in special else other for id_ in ids]


def first_input_module(modules: Any) -> InputModule:
    """Return the first module of a model.

    Raises:
        ModelError: it does not tokenize texts.
    """
    first = next(iter(modules), None)
    if not isinstance(first, InputModule):
        raise ModelError(f"the first module must be a Transformer, but it is {type(first).__name__}")
    return first
