"""Read embeddings that `tercet encode` has written into Parquet files, and check that they are those of the model."""

import glob
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tercet._files import expand_path
from tercet.data.reading.options import ReadOptions
from tercet.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from tercet.data.tables.table import Table

StoredVectors = Annotated[
    str | None,
    typer.Option(
        help="The column of a .parquet file, or of a folder of them, with the embeddings of its sentences by MODEL, "
        "such as 'embedding' in what tercet encode writes. [default: the sentences are embedded]"
    ),
]
# A vector of a file and the embedding of its sentence: a smaller cosine similarity than this is another model.
# Half precision and other processors differ by less than 0.001.
_SAME_MODEL = 0.99


def read_parts(data: str, options: ReadOptions) -> tuple["Table", list[Path]]:
    """Return the table of a file, a folder or a pattern, and the files that it consists of.

    Raises:
        DataError: the data cannot be read, or have no files that can hold vectors.
    """
    from tercet.data.reading.folders import read_files, read_folder
    from tercet.data.reading.selection import check_split, log_not_read, read_all

    files, whole = [], replace(options, optional_split=options.split)

    def read(file: Path) -> "Table":
        files.append(file)
        return read_all(file, whole)

    path = expand_path(data)
    if path.is_dir():
        table = read_folder(path, options.split, options.encoding, read)
    elif not path.exists() and (found := sorted(map(Path, glob.glob(str(path))))):
        table = read_files(found, data, options.split, read)
    else:
        table = read(path)
    if not files:
        raise DataError(f"{data} has no .parquet files with vectors; tercet encode writes them")
    check_split(table, options)
    log_not_read(table, options)
    return table, files


def read_stored_vectors(files: Sequence[Path], column: str, numbers: Sequence[int] | None = None) -> "np.ndarray":
    """Return the vectors of .parquet files, such as `tercet encode` writes, scaled to length 1, float32 `(n, dim)`.

    Args:
        files: the files, in order.
        column: the column of the vectors.
        numbers: the numbers of the n rows to return, counted through all files; None returns all rows.

    Raises:
        DataError: the vectors cannot be read, or those of two files have different dimensions.
    """
    import numpy as np

    from tercet.data.formats.vector_files import read_complete_vectors

    parts = [read_complete_vectors(file, column).astype(np.float32) for file in files]
    for file, part in zip(files, parts, strict=True):
        if part.shape[1] != parts[0].shape[1]:
            raise DataError(
                f"{file}: the vectors have {part.shape[1]} dimensions, but those of {files[0]} have "
                f"{parts[0].shape[1]}; embed the sentences of all files with one model"
            )
    vectors: np.ndarray = parts[0] if len(parts) == 1 else np.concatenate(parts)
    vectors = vectors if numbers is None else vectors[numbers]
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return vectors


def check_stored_vectors(vectors: "np.ndarray", expected: "np.ndarray", data: str) -> None:
    """Raise `DataError` if stored vectors are not those of this model.

    Args:
        vectors: the stored vectors `(n, dim)`.
        expected: the embedding of the first sentence by the model `(1, dim)`.
        data: the file of the vectors, for messages.
    """
    if vectors.shape[1] != expected.shape[1]:
        raise DataError(
            f"{data}: the vectors have {vectors.shape[1]} dimensions, but the model has {expected.shape[1]}; embed the "
            "sentences again with tercet encode"
        )
    similarity = float(vectors[0] @ expected[0])
    if similarity < _SAME_MODEL:
        raise DataError(
            f"{data}: the vectors are not those of this model (row 0: the cosine similarity to the embedding of its "
            f"text is {similarity:.3f}); embed the sentences again with tercet encode, without a head or another prompt"
        )
