"""Check the configuration of an encoder before the encoder is built from it.

A wrong size could otherwise allocate all memory, or build layers for hours.
"""

from typing import Any

from tercet.errors import ModelError

# Sizes that are a dimension of some weight, so none is above the largest dimension in the file.
_DIMENSIONS = ("hidden_size", "intermediate_size", "type_vocab_size", "embedding_size")
# The vocabulary may be larger than the weights if its embeddings are missing, which has a better message.
_MAX_VOCABULARY = 2_000_000
# Architectures that share weights have more layers than tensors. The deepest published encoders have fewer than this.
_MAX_SHARED_LAYERS = 256
# Positions need no weights in models with rotary embeddings, but their number may become the length of a buffer.
_MAX_POSITIONS = 10_000_000


def check_sizes(config: Any, shapes: dict[str, list[int]] | None, place: str) -> None:
    """Raise `ModelError` if a size is not positive or too large for the weights, or a rate is not from 0 to 1.

    Args:
        config: the configuration of `transformers`.
        shapes: the shape of each weight by name; None if the weights are not in a local folder.
        place: the configuration file, for messages.
    """
    for name in ("hidden_size", "num_hidden_layers"):
        value = getattr(config, name, None)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ModelError(
                f"{place}: {name} must be a positive integer, got {value!r}; "
                f"a {config.model_type} model without it is no encoder of sentences"
            )
    _check_rates(config, place)
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > _MAX_POSITIONS:
        raise ModelError(f"{place}: max_position_embeddings is {positions:,}; at most {_MAX_POSITIONS:,} are supported")
    if shapes is None:
        return
    layers = config.num_hidden_layers
    if layers > max(len(shapes), _MAX_SHARED_LAYERS):
        raise ModelError(f"{place}: num_hidden_layers is {layers:,}, but the file of the weights has {len(shapes):,}")
    largest = max((size for shape in shapes.values() for size in shape), default=0)
    for name in (*_DIMENSIONS, "vocab_size"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > (largest if name in _DIMENSIONS else max(largest, _MAX_VOCABULARY)):
            raise ModelError(
                f"{place}: {name} is {value:,}, but the largest dimension of any weight in the file is {largest:,}"
            )


def _check_rates(config: Any, place: str) -> None:
    """Raise `ModelError` if a dropout rate is not from 0 to 1. torch takes NaN, and the training would fail later."""
    for name, value in config.to_dict().items():
        if "drop" in name and isinstance(value, float) and not 0 <= value <= 1:
            raise ModelError(f"{place}: {name} must be from 0 to 1, got {value}")


def check_attention(content: dict[str, Any], place: str, *, trust_remote_code: bool) -> None:
    """Raise `ModelError` if config.json asks for attention code from the hub and this code is not trusted.

    Args:
        content: the content of config.json.
        place: the configuration file, for messages.
    """
    for field in ("attn_implementation", "_attn_implementation", "_attn_implementation_internal"):
        value = content.get(field)
        for name in value.values() if isinstance(value, dict) else [value]:
            if isinstance(name, str) and "/" in name and not trust_remote_code:
                raise ModelError(
                    f"{place}: {field} is {name!r}, which is code from the hub; pass trust_remote_code=True to run it, "
                    "or remove the field"
                )
