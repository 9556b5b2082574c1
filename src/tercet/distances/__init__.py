"""Distances between embeddings; smaller is closer, everywhere in Tercet.

base.py         Distance, the interface: pairs, matrix, upper bound, blocks
named.py        Euclidean, cosine and Manhattan distance
functional.py   matrix and pairs by name, object or function
blocks.py       many distances, block by block, and the nearest rows of a block
"""

from tercet.distances.base import Distance, FunctionDistance
from tercet.distances.blocks import BLOCK_BYTES, distance_blocks, nearest
from tercet.distances.functional import DistanceLike, get_distance, matrix, pairs
from tercet.distances.named import COSINE, EUCLIDEAN, MANHATTAN, CosineDistance, EuclideanDistance, ManhattanDistance
from tercet.distances.points import Points, at_least_float32, unit_rows, zero_rows

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
    "Points",
    "at_least_float32",
    "distance_blocks",
    "get_distance",
    "matrix",
    "nearest",
    "pairs",
    "unit_rows",
    "zero_rows",
]
