"""Lines of a stream are yielded as soon as they arrive, and memory does not grow with the stream."""

import os
import threading

import pytest

from tercet.data.reading.lines import read_lines
from tercet.errors import DataError


def _lines(*blocks):
    """Return what `read_lines` yields for a pipe into which blocks are written, each after the one before was read."""
    read, write = os.pipe()

    def feed():
        with open(write, "wb", buffering=0) as file:
            for block in blocks:
                file.write(block)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        return list(read_lines(read, "standard input"))
    finally:
        os.close(read)
        thread.join()


def test_a_line_is_yielded_before_the_next_one_is_written():
    read, write = os.pipe()
    lines = read_lines(read, "standard input")
    for text in ("one", "zwei ü"):
        os.write(write, f"{text}\n".encode())
        assert next(lines) == [text]
    os.write(write, b"no line")
    os.write(write, b" yet\r\nlast")
    assert next(lines) == ["no line yet"]
    os.close(write)
    assert next(lines) == ["last"]
    assert next(lines, None) is None
    os.close(read)


def test_empty_lines_byte_order_marks_and_windows_line_ends():
    assert _lines(b"\xef\xbb\xbfa\r\n\r\n \n\xe2\x80\x8b\nb\tc\n") == [["a", "b\tc"]]
    assert _lines(b"\n\n") == []
    assert _lines(b"") == []


def test_a_long_stream_is_read_in_parts():
    lines = _lines(b"".join(b"sentence %d\n" % n for n in range(100_000)))
    assert [text for part in lines for text in part] == [f"sentence {n}" for n in range(100_000)]
    assert max(map(len, lines)) < 10_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\n\ncaf\xe9\n", "standard input, line 3, is not UTF-8: byte 0xe9; convert the stream to UTF-8"),
        ("a\n".encode("utf-16"), "standard input is UTF-16; save it as UTF-8"),
        (b"PAR1....", "standard input is a Parquet file, not a text file"),
        (b"a\n" + b"x" * (2**24 + 1), "standard input, line 2: the line is longer than 16 MiB"),
    ],
)
def test_a_stream_that_is_no_text_is_refused(content, message, monkeypatch):
    rest = [content]
    monkeypatch.setattr(os, "read", lambda descriptor, size: rest.pop() if rest else b"")
    with pytest.raises(DataError, match=message):
        list(read_lines(0, "standard input"))


def test_a_closed_stream_is_refused():
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    with pytest.raises(DataError, match="cannot read standard input: Bad file descriptor"):
        list(read_lines(read, "standard input"))
