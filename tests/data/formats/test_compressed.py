"""Archives that cannot be unpacked."""

import zipfile

import pytest

from tercet.data.reading.sources import read_table
from tercet.errors import DataError

CONTENT = b"text,label\n" + b"".join(b"a text %d,x\n" % number for number in range(99))


def _archive(path, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("d.csv", CONTENT)
    return path


def _set_byte(path, offset_in_headers, value):
    """Set a byte of both headers of the only file; its offset in the central header is two bytes larger."""
    data = bytearray(path.read_bytes())
    data[offset_in_headers] = value
    data[data.rindex(b"PK\x01\x02") + offset_in_headers + 2] = value
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archives_of_each_compression_of_python_are_read(compression, tmp_path):
    assert len(read_table(_archive(tmp_path / "d.zip", compression))) == 99
    data = bytearray((tmp_path / "d.zip").read_bytes())
    data[60:90] = bytes(30)
    (tmp_path / "d.zip").write_bytes(data)
    with pytest.raises(DataError, match=r"d\.zip is damaged"):
        read_table(tmp_path / "d.zip")


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (6, 1, r"d\.zip is protected by a password; unpack it and pass the file that it contains"),
        (8, 9, r"d\.zip cannot be unpacked by Python \(.*compression.*\); unpack it with another program"),
        (4, 99, r"d\.zip cannot be unpacked by Python \(zip file version 9\.9\); unpack it with another program"),
    ],
)
def test_archives_that_python_cannot_unpack_are_refused(offset, value, message, tmp_path):
    path = _set_byte(_archive(tmp_path / "d.zip"), offset, value)
    with pytest.raises(DataError, match=message):
        read_table(path)
    (tmp_path / "e.csv").write_bytes(CONTENT)
    if offset == 4:  # Its only file is unknown, as that of an archive with several files.
        assert len(read_table(tmp_path)) == 99
