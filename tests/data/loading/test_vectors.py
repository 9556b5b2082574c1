import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tercet._events import collect_warnings
from tercet.data.formats.vector_files import read_vectors
from tercet.data.loading.vectors import load_vectors, vector_keys
from tercet.data.reading.options import ReadOptions
from tercet.errors import DataError

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
LABELS = ["b", "a", "b", "a", "b", "a"]


def _parquet(path, vectors, kind=None, **columns):
    rows = [None if row is None else list(row) for row in vectors]
    parquet.write_table(pa.table({"v": pa.array(rows, kind or pa.list_(pa.float32())), **columns}), path)
    return path


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32()),
        pa.large_list(pa.float64()),
        pa.list_(pa.float32(), 4),
        pa.list_(pa.float16(), 4),
        pa.list_(pa.int8(), 4),
    ],
)
def test_columns_of_lists_of_any_type(kind, tmp_path):
    vectors = np.round(X * 10) if pa.types.is_integer(kind.value_type) else X
    rows = vectors.astype(kind.value_type.to_pandas_dtype())
    _parquet(tmp_path / "v.parquet", rows, kind, label=LABELS)
    found, missing = read_vectors(tmp_path / "v.parquet", "v")
    np.testing.assert_array_equal(found, rows)
    assert not missing.any()
    assert np.issubdtype(found.dtype, np.floating)


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 2)], ids=["list", "fixed"])
def test_several_row_groups_and_missing_vectors(kind, tmp_path):
    table = pa.table({"v": pa.array([None, [1.0, 2.0], None, [3.0, 4.0]], kind)})
    parquet.write_table(table, tmp_path / "v.parquet", row_group_size=1)
    if pa.__version__.startswith("17.") and kind != pa.list_(pa.float32()):
        with pytest.raises(
            DataError, match="cannot read a column of vectors of a fixed size in which some are missing"
        ):
            read_vectors(tmp_path / "v.parquet")
        return
    found, missing = read_vectors(tmp_path / "v.parquet")
    assert found.tolist() == [[0, 0], [1, 2], [0, 0], [3, 4]]
    assert missing.tolist() == [True, False, True, False]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_an_array_and_a_file_of_labels(dtype, tmp_path):
    np.save(tmp_path / "v.npy", X.astype(dtype))
    (tmp_path / "labels.csv").write_text("id,label\n" + "".join(f"{n},{label}\n" for n, label in enumerate(LABELS)))
    data = load_vectors(tmp_path / "v.npy", label_file=tmp_path / "labels.csv")
    np.testing.assert_allclose(data.vectors, X, atol=1e-2)
    assert data.rows.labels() == LABELS
    part = data.take([4, 0])
    assert part.rows.labels() == ["b", "b"]
    assert part.rows.rows.tolist() == [4, 0]


def test_a_file_of_labels_with_one_column_needs_no_usual_name(tmp_path):
    np.save(tmp_path / "v.npy", X)
    (tmp_path / "labels.csv").write_text("team\n" + "\n".join(LABELS))
    assert load_vectors(tmp_path / "v.npy", label_file=tmp_path / "labels.csv").rows.labels() == LABELS


def test_equal_vectors_have_equal_keys():
    keys = vector_keys(np.concatenate([X, X[:1]]))
    assert keys[0] == keys[-1]
    assert len(set(keys)) == len(X)
    assert vector_keys(np.asfortranarray(X)) == keys[:-1]


def test_rows_without_a_vector_or_a_label_are_left_out(tmp_path):
    path = _parquet(tmp_path / "v.parquet", [*X[:5], None], label=["a", None, *LABELS[2:]])
    with pytest.raises(DataError, match=r"v.parquet: 1 of 6 rows has no vector \(row 5\)"):
        load_vectors(path, ReadOptions(drop_missing=False))
    with collect_warnings() as warnings:
        data = load_vectors(path)
    assert data.rows.rows.tolist() == [0, 2, 3, 4]
    np.testing.assert_array_equal(data.vectors, X[[0, 2, 3, 4]])
    assert len(warnings) == 2


def test_labels_of_evaluation_data_take_the_form_of_the_training_data(tmp_path):
    path = _parquet(tmp_path / "v.parquet", X, label=["A", *LABELS[1:]])
    with pytest.raises(DataError, match="similar_labels"):
        load_vectors(path, known_labels=["a", "b"])


def _archive(path):
    with path.open("wb") as file:
        np.savez(file, X)


def _save(array):
    return lambda path: np.save(path, array)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_save(X[0]), r"must have floating-point vectors \(rows, dimensions\), but it has float32 of shape \(4,\)"),
        (_save(X.astype(int)), "but it has int64"),
        (_save(X[:0]), r"there are no vectors: the shape is \(0, 4\)"),
        (_save(np.array([[1.0, None]], dtype=object)), "is not a readable .npy file"),
        (lambda path: path.write_bytes(b"hello"), "is not a readable .npy file"),
        (lambda path: path.write_bytes(b""), "is not a readable .npy file"),
        (_archive, "is not a readable .npy file"),
    ],
)
def test_an_array_that_is_not_one_of_vectors(write, message, tmp_path):
    write(tmp_path / "v.npy")
    with pytest.raises(DataError, match=message) as caught:
        read_vectors(tmp_path / "v.npy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("vectors", "kind", "message"),
    [
        ([[1.0], [1.0, 2.0]], None, r"row 1: the vector has 2 values, but that of the first row has 1"),
        ([None, [1.0], [], [2.0]], None, r"row 2: the vector has 0 values, but that of the first row has 1"),
        ([None, [1.0, None]], None, r"row 1: a value of the vector is missing"),
        ([None, None], None, "there are no vectors"),
        ([[], []], None, "there are no vectors"),
        (["ab"], pa.list_(pa.string()), r"the column 'v' has the type list<.*string>; a column of vectors must have"),
    ],
)
def test_a_column_that_is_not_one_of_vectors(vectors, kind, message, tmp_path):
    path = _parquet(tmp_path / "v.parquet", vectors, kind)
    with pytest.raises(DataError, match=message):
        read_vectors(path, "v")


def test_nan_and_infinity_name_the_rows(tmp_path):
    x = X.copy()
    x[2, 1], x[4, 0] = np.nan, np.inf
    np.save(tmp_path / "v.npy", x)
    (tmp_path / "labels.csv").write_text("label\n" + "\n".join(LABELS))
    with pytest.raises(DataError, match=r"2 of 6 rows have a vector with NaN or infinite values \(rows 2, 4\)"):
        load_vectors(tmp_path / "v.npy", label_file=tmp_path / "labels.csv")
    x[[2, 4]] = 0
    np.save(tmp_path / "v.npy", x)
    with collect_warnings() as warnings:
        load_vectors(tmp_path / "v.npy", label_file=tmp_path / "labels.csv")
    assert [warning.kind.value for warning in warnings] == ["doubtful-data"]
    assert (
        "2 of 6 rows have a vector of zeros (rows 2, 4), which is equally near to every other vector"
        in warnings[0].message
    )


def test_which_column_and_which_file(tmp_path):
    path = _parquet(tmp_path / "v.parquet", X, label=LABELS)
    with pytest.raises(DataError, match="has no column 'w'"):
        read_vectors(path, "w")
    with pytest.raises(DataError, match="the column 'label' has the type string.*as 'v' has"):
        read_vectors(path, "label")
    _parquet(tmp_path / "two.parquet", X, w=pa.array(X.tolist()))
    with pytest.raises(DataError, match="which column has the vectors.*'v', 'w'; pass vector_column"):
        read_vectors(tmp_path / "two.parquet")
    np.save(tmp_path / "v.npy", X)
    with pytest.raises(DataError, match="vector_column is for .parquet files"):
        read_vectors(tmp_path / "v.npy", "v")
    with pytest.raises(DataError, match="pass label_file"):
        load_vectors(tmp_path / "v.npy")
    (tmp_path / "labels.csv").write_text("label\n" + "\n".join(LABELS[:5]))
    with pytest.raises(DataError, match=r"has 6 vectors, but .*labels.csv has 5 labels"):
        load_vectors(tmp_path / "v.npy", label_file=tmp_path / "labels.csv")
    with pytest.raises(DataError, match="no file"):
        read_vectors(tmp_path / "missing.npy")
    with pytest.raises(DataError, match=r"vectors are read from .npy and .parquet files"):
        read_vectors(tmp_path / "labels.csv")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="is not a readable Parquet file"):
        read_vectors(tmp_path / "broken.parquet")


def test_labels_of_vectors_in_another_order_are_refused(tmp_path):
    data, labels = tmp_path / "d.parquet", tmp_path / "l.csv"
    parquet.write_table(pa.table({"id": [1, 2, 3, 4], "vector": [[0.0, 1.0]] * 4}), data)
    labels.write_text("id,label\n1,a\n3,a\n2,b\n4,b\n")
    with pytest.raises(DataError, match="different values in the column 'id' in row 1, so their rows are in another"):
        load_vectors(data, label_file=labels)
    labels.write_text("id,label\n1,a\n2,a\n3,b\n4,b\n")
    assert load_vectors(data, label_file=labels).rows.labels() == ["a", "a", "b", "b"]
