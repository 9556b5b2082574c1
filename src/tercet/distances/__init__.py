"""Distances between embeddings. Everywhere in Tercet, a smaller distance means more similar.

functional.py       `matrix` and `pairs`, for a distance given by name, object or function
base.py             Distance, the interface: pairs, matrix, upper bound, blocks; FunctionDistance, for functions
matrix_product.py   MatrixProductDistance, for functions of the Euclidean norm
named.py            Euclidean, cosine and Manhattan distance
blocks.py           the distances of many queries to a gallery, block by block, and the nearest rows of a block
points.py           embeddings that are prepared for the computation of blocks
validation.py       checks of embeddings: shape, dtype and the range of their norms
"""

from tercet.distances.base import Distance, FunctionDistance
from tercet.distances.blocks import BLOCK_BYTES, distance_blocks, nearest
from tercet.distances.functional import DistanceLike, checked_matrix, checked_pairs, get_distance, matrix, pairs
from tercet.distances.matrix_product import MatrixProductDistance, norms_of_differences
from tercet.distances.named import COSINE, EUCLIDEAN, MANHATTAN, CosineDistance, EuclideanDistance, ManhattanDistance
from tercet.distances.points import Points, at_least_float32, unit_rows, zero_rows
from tercet.distances.validation import as_embeddings, check_norms, norms_fit

__all__ = [
    "BLOCK_BYTES",
    "COSINE",
    "EUCLIDEAN",
    "MANHATTAN",
    "CosineDistance",
    "Distance",
    "DistanceLike",
    "EuclideanDistance",
    "FunctionDistance",
    "ManhattanDistance",
    "MatrixProductDistance",
    "Points",
    "as_embeddings",
    "at_least_float32",
    "check_norms",
    "checked_matrix",
    "checked_pairs",
    "distance_blocks",
    "get_distance",
    "matrix",
    "nearest",
    "norms_fit",
    "norms_of_differences",
    "pairs",
    "unit_rows",
    "zero_rows",
]
