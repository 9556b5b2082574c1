"""Check that a tokenizer has a vocabulary and fits its encoder."""

from pathlib import Path
from typing import Any

from tercet.encoder.pretrained.files import has_tokenizer
from tercet.errors import ModelError, listed

# Sentences that every tokenizer of words or bytes splits without its special tokens.
_PROBE = "a quick test of one sentence, and of another one"
# A model often has some rows more than its tokenizer has tokens, to reach a round number. Below this fraction, the
# tokenizer is that of another model.
_MIN_FRACTION = 0.5


def check_tokenizer(tokenizer: Any, auto_model: Any, place: str, *, changed: bool = False) -> None:
    """Raise `ModelError` if a tokenizer knows no words, or its token ids do not fit the rows of the encoder.

    Args:
        place: the folder of the tokenizer, for messages.
        changed: whether the user passed arguments for the tokenizer, which may change its results.
    """
    size, special = len(tokenizer), len(set(tokenizer.all_special_ids))
    if size <= special:
        folder = Path(place)
        no_file = folder.is_dir() and not has_tokenizer(folder)
        problem = (
            f"{place} has no file of a tokenizer, such as tokenizer.json or vocab.txt"
            if no_file
            else f"the tokenizer in {place} has only special tokens ({size})"
        )
        raise ModelError(
            f"{problem}, so that every word would be unknown; copy the files of the tokenizer from the model that was "
            "fine-tuned"
        )
    rows = embedding_rows(auto_model)
    if rows is not None:
        check_ids_fit(tokenizer, rows, place)
        highest = max(tokenizer.get_vocab().values())
        if highest >= rows:
            raise ModelError(
                f"the tokenizer in {place} has the token id {highest:,}, but the encoder has {rows:,} embedding rows"
            )
        if size < _MIN_FRACTION * rows and not _is_padded(size, rows):
            raise ModelError(
                f"the tokenizer in {place} has {size:,} tokens, but the encoder has {rows:,} embedding rows, so that "
                "it is probably the tokenizer of another model; copy the right one"
            )
    if not changed:
        _check_same_as_file(tokenizer, Path(place))


def _is_padded(size: int, rows: int) -> bool:
    """Return whether `rows` is `size` rounded up to a multiple of a power of two, as for a small vocabulary."""
    step = rows & -rows  # the largest power of two that divides it
    return rows - size < step


def check_ids_fit(tokenizer: Any, rows: int, place: str = "this model") -> None:
    """Raise `ModelError` if a tokenizer has more tokens than the encoder has embedding rows."""
    if len(tokenizer) > rows:
        raise ModelError(
            f"the tokenizer of {place} has {len(tokenizer):,} tokens, but the encoder has {rows:,} embedding rows; "
            "call auto_model.resize_token_embeddings(len(tokenizer)), train and save the model again, or use the "
            "tokenizer of the encoder"
        )


def embedding_rows(auto_model: Any) -> int | None:
    """Return the number of rows of the token embeddings, or None if the encoder has no such table."""
    try:
        table = auto_model.get_input_embeddings()
        return int(getattr(table, "num_embeddings", None) or table.weight.shape[0])
    except (AttributeError, NotImplementedError):  # For example, an encoder that hashes characters.
        return None


def _check_same_as_file(tokenizer: Any, folder: Path) -> None:
    """Raise `ModelError` if a fast tokenizer splits words in another way than its tokenizer.json does.

    A wrong `tokenizer_class` has this effect: `transformers` builds a tokenizer of this class from the vocabulary.
    """
    path = folder / "tokenizer.json"
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not path.is_file():
        return
    from tokenizers import Tokenizer

    of_file = Tokenizer.from_file(str(path))
    of_file.no_truncation()
    of_file.no_padding()
    # Ids, not tokens: for an unknown word some tokenizers return its letters as a token, others the unknown token.
    encoded = of_file.encode(_PROBE, add_special_tokens=False)
    ids = tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
    # Settings such as add_prefix_space may change the first word.
    if ids[1:] != encoded.ids[1:] or type(backend.model) is not type(of_file.model):
        expected, found = encoded.tokens, tokenizer.convert_ids_to_tokens(ids)
        raise ModelError(
            f"the tokenizer class {type(tokenizer).__name__} of {folder / 'tokenizer_config.json'} splits a sentence "
            f"into {listed(found, 4)}, but tokenizer.json into {listed(expected, 4)}; correct tokenizer_class, or "
            "remove it"
        )
