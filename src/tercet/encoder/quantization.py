"""Quantize embeddings: one byte per dimension, or one bit."""

import logging
from typing import Any

import numpy as np

from tercet.encoder.similarity import as_array
from tercet.errors import EmbeddingError, listed

PRECISIONS = ("float32", "int8", "uint8", "binary", "ubinary")
# Ranges of fewer embeddings depend on which embeddings were taken.
_FEW = 100

logger = logging.getLogger(__name__)


def check_precision(precision: str | None) -> str:
    """Return the name of a precision; None means "float32".

    Raises:
        EmbeddingError: no precision has this name.
    """
    if precision is None:
        return "float32"
    if precision not in PRECISIONS:
        raise EmbeddingError(f"unknown precision {precision!r}; choose one of {listed(PRECISIONS)}")
    return precision


def quantize_embeddings(
    embeddings: Any, precision: str, ranges: Any = None, calibration_embeddings: Any = None
) -> np.ndarray:
    """Quantize embeddings as sentence-transformers does.

    "int8" and "uint8" divide the range of each dimension into 256 buckets of one width. "binary" (int8) and "ubinary"
    (uint8) store whether each dimension is positive, eight dimensions per byte, the first one in the highest bit.

    Args:
        embeddings: the embeddings `(n, dim)`, or one embedding `(dim,)`.
        precision: one of `PRECISIONS`.
        ranges: minimum and maximum of each dimension `(2, dim)`, for "int8" and "uint8". By default those of
            `calibration_embeddings`.
        calibration_embeddings: embeddings `(m, dim)`, such as those of a corpus. By default `embeddings`. Compare only
            embeddings that were quantized with the same ranges.

    Returns:
        An array `(n, dim)`, or `(n, ceil(dim / 8))` for "binary" and "ubinary".

    Raises:
        EmbeddingError: the precision is unknown, the embeddings are quantized already, or the ranges would be those of
            a single embedding.

    Example:
        >>> quantize_embeddings([[0.1, -0.5]], "int8", ranges=[[-1.0, -1.0], [1.0, 1.0]]).tolist()
        [[12, -65]]
        >>> quantize_embeddings([[0.5, -0.5], [-0.5, 0.5]], "ubinary").tolist()
        [[128], [64]]
    """
    precision = check_precision(precision)
    values = as_array(embeddings)
    if values.dtype in (np.int8, np.uint8):
        raise EmbeddingError(f"the embeddings are {values.dtype}, so they are quantized already; pass float embeddings")
    if precision == "float32":
        return values.astype(np.float32, copy=False)
    if precision in ("binary", "ubinary"):
        bits: np.ndarray = np.packbits(values > 0, axis=-1)
        return bits if precision == "ubinary" else (bits.astype(np.int16) - 128).astype(np.int8)
    if len(values) == 0:
        return values.astype(precision)
    lowest, highest = _ranges(values, precision, ranges, calibration_embeddings)
    width = (highest - lowest) / 255
    buckets = np.clip(np.floor((values - lowest) / np.where(width == 0, 1, width)), 0, 255)
    quantized: np.ndarray = (buckets if precision == "uint8" else buckets - 128).astype(precision)
    return quantized


def _ranges(values: np.ndarray, precision: str, ranges: Any, calibration: Any) -> np.ndarray:
    """Return the minimum and maximum of each dimension `(2, dim)` in float32."""
    if ranges is not None:
        return as_array(ranges).astype(np.float32)
    if calibration is None:
        if values.ndim == 1 or len(values) == 1:
            raise EmbeddingError(
                f"precision={precision!r} needs the range of each dimension, which one embedding does not have; encode "
                "with float32 and call quantize_embeddings with ranges or calibration_embeddings"
            )
        if len(values) < _FEW:
            logger.warning(
                f"the ranges of precision={precision!r} are those of {len(values)} embeddings; encode at least {_FEW}, "
                "or call quantize_embeddings with ranges or calibration_embeddings"
            )
        calibration = values
    calibration = as_array(calibration)
    return np.stack([calibration.min(axis=0), calibration.max(axis=0)]).astype(np.float32)
