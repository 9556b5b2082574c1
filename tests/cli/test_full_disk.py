"""Embeddings that do not fit on the disk are an error; no truncated file is left."""

import io
import sys

import numpy as np
import pytest

from tercet.cli.encode import _write

resource = pytest.importorskip("resource")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of file sizes")
@pytest.mark.parametrize("limit", [100, 500, 2000])
def test_embeddings_that_do_not_fit_are_an_error(limit, tmp_path):
    array = np.random.default_rng(0).random((16, 32), dtype=np.float32)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            _write(tmp_path / "x.npy", [], array)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("shape", [(16, 32), (0, 32), (1, 1)])
def test_the_file_is_the_one_that_numpy_writes(shape, tmp_path):
    array = np.ones(shape, dtype=np.float32)
    expected = io.BytesIO()
    np.save(expected, array)
    _write(tmp_path / "x.npy", [], array)
    assert (tmp_path / "x.npy").read_bytes() == expected.getvalue()
