"""Count, while texts are tokenized, what the model does not read: truncated texts and unknown tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from tercet._events import WarningKind, emit_warning
from tercet.errors import is_or_are

# From these fractions on, a warning is emitted: of truncated texts, and of unknown tokens.
TRUNCATED_TO_WARN, UNKNOWN_TO_WARN = 0.01, 0.05


@dataclass
class TokenStats:
    """Counts of tokenized texts.

    Attributes:
        texts: the number of texts.
        truncated: the number of texts with more tokens than `limit`, of which the rest is not read.
        tokens: the number of tokens, without special tokens.
        unknown: the number of tokens that are not in the vocabulary, which all have the same embedding.
        limit: the maximum number of tokens of a text; None if there is no limit.
        sampled_of: the number of rows of the data set, if only a random part of them was tokenized; else None.
    """

    texts: int = 0
    truncated: int = 0
    tokens: int = 0
    unknown: int = 0
    limit: int | None = None
    sampled_of: int | None = None

    def add(self, other: "TokenStats") -> None:
        """Add the counts of more texts."""
        self.texts += other.texts
        self.truncated += other.truncated
        self.tokens += other.tokens
        self.unknown += other.unknown
        self.limit = other.limit

    @property
    def unknown_fraction(self) -> float:
        """The fraction of the tokens that are unknown; 0 without tokens."""
        return self.unknown / self.tokens if self.tokens else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the facts for a record."""
        return {
            "truncated_texts": self.truncated,
            "max_seq_length": self.limit,
            "unknown_tokens": round(self.unknown_fraction, 4),
            **({"tokenized_texts": self.texts} if self.sampled_of is not None else {}),
        }

    def warn(self, warned: set[WarningKind], texts: str = "texts") -> None:
        """Emit a warning of each kind that the counts call for and that is not in `warned`, and add the kind to it.

        `texts` says which texts were counted, such as "training texts".
        """
        messages = {}
        if self.texts and self.truncated >= TRUNCATED_TO_WARN * self.texts and self.truncated:
            messages[WarningKind.TRUNCATED_TEXTS] = (
                f"{self.truncated:,} of {self.texts:,} {texts} {is_or_are(self.truncated)} longer than {self.limit} "
                f"tokens, the limit of this model, and {is_or_are(self.truncated)} cut: the rest is not read. Put the "
                "important part first, split the texts, set a larger max_seq_length, or choose a model that allows one"
            )
        if self.unknown_fraction >= UNKNOWN_TO_WARN:
            messages[WarningKind.UNKNOWN_TOKENS] = (
                f"{self.unknown_fraction:.0%} of the tokens of the {texts} are unknown to this model, so it cannot "
                "distinguish their words. Choose a model for the language of the texts, for example a multilingual one "
                "such as sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"
            )
        for kind, message in messages.items():
            if kind not in warned:
                warned.add(kind)
                emit_warning(kind, message)


_collected: ContextVar[TokenStats | None] = ContextVar("tercet_token_stats", default=None)


@contextmanager
def collect_token_stats() -> Iterator[TokenStats]:
    """Collect the counts of all texts that `encode` tokenizes inside the `with` block, instead of its warnings."""
    stats = TokenStats()
    token = _collected.set(stats)
    try:
        yield stats
    finally:
        _collected.reset(token)


def report_token_stats(stats: TokenStats, warned: set[WarningKind]) -> None:
    """Pass counts to the innermost `collect_token_stats` block; outside of one, emit their warnings."""
    collected = _collected.get()
    if collected is None:
        stats.warn(warned)
    else:
        collected.add(stats)


def warned_kinds(model: Any) -> set[WarningKind]:
    """Return the kinds of warnings about texts that a model has emitted; an empty set if it does not record them."""
    warned: set[WarningKind] = getattr(getattr(model, "input_module", None), "warned", set())
    return warned


def count_encoded(encoded: Any, tokenizer: Any, limit: int | None) -> TokenStats:
    """Return the counts of the result of a tokenizer, which truncated the texts to `limit` tokens.

    The truncated part of a text is known to a fast tokenizer only. A slow one counts texts that fill the limit.
    """
    ids = encoded["input_ids"]
    full = [] if limit is None else [row for row, sentence in enumerate(ids) if len(sentence) >= limit]
    encodings = getattr(encoded, "encodings", None)
    truncated = len(full) if encodings is None else sum(bool(encodings[row].overflowing) for row in full)
    unknown_id = _unknown_id(tokenizer)
    return TokenStats(
        texts=len(ids),
        truncated=truncated,
        tokens=max(0, sum(map(len, ids)) - len(ids) * tokenizer.num_special_tokens_to_add()),
        unknown=0 if unknown_id is None else sum(sentence.count(unknown_id) for sentence in ids),
        limit=limit,
    )


def _unknown_id(tokenizer: Any) -> int | None:
    """Return the id of unknown tokens; None if there are none, as in vocabularies of bytes.

    Some of them give the name of another special token, such as the end of a text, to unknown tokens.
    """
    unknown = getattr(tokenizer, "unk_token_id", None)
    others = ("bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id", "pad_token_id", "mask_token_id")
    return None if unknown in [getattr(tokenizer, name, None) for name in others] else unknown
