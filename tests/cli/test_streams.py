"""What a terminal, a pipe or a full disk gets: no control codes, no exception, and a sensible exit code."""

import errno
import io
import os
import signal
import subprocess
import sys
import time

import pytest

from tercet._display import duration, for_terminal
from tercet.cli import console
from tercet.cli.command_errors import report_errors
from tercet.cli.streams import SafeStream, safe_streams
from tests.child import ENVIRONMENT

_NASTY = "a\x1b[31mred\x1b]0;title\x07\x9b2J\u202eb\x85c\r\nd"


class _Broken(io.StringIO):
    def __init__(self, number):
        super().__init__()
        self.number, self.attempts = number, 0

    def write(self, text):
        self.attempts += 1
        raise OSError(self.number, os.strerror(self.number))

    flush = write


def _tercet(*words, shell="", **environment):
    """Run `tercet …` in a shell; `shell` is what follows the command. Return exit code, output and errors."""
    quoted = " ".join(f"'{word}'" for word in words)
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m tercet {quoted} {shell}"], text=True, encoding="utf-8", errors="replace",
        env={**ENVIRONMENT, **environment}, capture_output=True, timeout=120,
    )  # fmt: skip
    return done


def test_control_codes_are_replaced_and_colours_are_kept_on_standard_output_only():
    safe = for_terminal(_NASTY)
    assert not set(safe) & set("\x1b\x07\x9b\u202e\x85")
    assert safe.endswith("c\r\nd")
    assert for_terminal(_NASTY, styled=True).startswith("a\x1b[31mred�]0;title�")
    stream = io.StringIO()
    SafeStream(stream, styled=False).write("\x1b[31mx")
    assert stream.getvalue() == "�[31mx"
    SafeStream(stream, styled=False).write("\n\x1b[A\x1b[A")  # how tqdm moves between its bars
    assert stream.getvalue().endswith("\n\x1b[A\x1b[A")


def test_a_closed_pipe_ends_the_printing_quietly_and_a_full_disk_is_remembered():
    for number in (errno.EPIPE, errno.ENOSPC):
        broken = _Broken(number)
        stream = SafeStream(broken, styled=True)
        stream.write("a")
        stream.write("b")
        stream.flush()
        assert broken.attempts == 1
        assert (stream.failure is None) == (number == errno.EPIPE)


def test_data_reach_a_pipe_as_they_are_and_a_terminal_without_control_codes():
    data = "a\x1b[2J 日本\n".encode()
    for is_terminal, expected in ((False, data), (True, "a�[2J 日本\n".encode())):
        buffer = io.BytesIO()
        plain = io.TextIOWrapper(buffer, encoding="utf-8" if is_terminal else "ascii")
        plain.isatty = lambda is_terminal=is_terminal: is_terminal
        stream = SafeStream(plain, styled=True)
        stream.write_data(data)
        assert buffer.getvalue() == expected
        assert not stream.is_closed


def test_data_for_a_reader_that_has_gone_end_the_writing():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        stream = SafeStream(pipe, styled=True)
        stream.write_data(b"a\n")
        assert stream.is_closed
        assert stream.failure is None
        stream.write_data(b"b\n")


def test_missing_streams_are_replaced(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with safe_streams():
        print("x", file=sys.stderr)
    assert sys.stderr is None


def test_notes_and_errors_are_one_printable_line_each(capsys):
    console.configure(quiet=False)
    console.print_note(f"model written to {_NASTY[:-3]}")
    console.print_error(_NASTY)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("tercet: error: a�[31mred")
    assert not set("".join(lines)) & set("\x1b\x07\x9b\u202e\r")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.6, "1 min 0 s"), (133, "2 min 13 s"), (3960, "1 h 6 min")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_a_table_shows_brackets_control_codes_and_any_width(capsys, monkeypatch):
    for columns in ("0", "1", "80"):
        monkeypatch.setenv("COLUMNS", columns)
        console.print_metrics("of [b]x[/b]", {"m[/b]\x1b[2J": {"map@r": 0.5}})
        text = capsys.readouterr().out
        assert "0.5000" in text
        assert "m[/b]�[2J" in text.replace("\n", "")
        assert "of [b]x[/b]" in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_any_encoding_of_standard_output(encoding, tmp_path):
    data = tmp_path / "d.csv"
    data.write_text("text,label\n" + "".join(f"日本 😀 {n % 3},Ж{n % 2}\n" for n in range(8)), encoding="utf-8")
    done = _tercet("inspect", data, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert "rows" in done.stdout
    assert "unexpected" not in done.stderr


def test_a_closed_pipe_and_full_streams(csv_file):
    assert _tercet("inspect", csv_file, shell="| true; exit ${PIPESTATUS[0]}").returncode == 0
    full = _tercet("inspect", csv_file, shell=">/dev/full")
    assert full.returncode == 2
    assert full.stderr.splitlines()[-1] == (
        "tercet: error: cannot write the result to standard output: No space left on device"
    )
    assert "Traceback" not in _tercet("--help", shell=">/dev/full").stderr
    silent = _tercet("inspect", csv_file, shell="2>/dev/full")
    assert silent.returncode == 0
    assert "largest label" in silent.stdout


def test_a_usage_error_is_in_plain_words(csv_file):
    done = _tercet("train", csv_file, "--output", "m", "--epochs", "many")
    wordings = ("expected a number, got 'many'", "'many' is not a valid float.")  # of typer 0.29 and 0.27
    assert done.stderr.splitlines()[-1] in [f"Error: Invalid value for '--epochs': {words}" for words in wordings]
    done = _tercet("train", csv_file, "--output", "m", "--loss", "semi-hard")
    assert "Error: Invalid value for '--loss': 'semi-hard' is not one of 'batch-semi-hard'" in done.stderr


class _Interrupted:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_inside_a_destructor_still_ends_the_command(capsys):
    import typer

    @report_errors
    def command() -> None:
        _Interrupted()  # its destructor runs at once, and Python discards the exception
        time.sleep(5)

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    start = time.monotonic()
    try:
        with pytest.raises(typer.Exit) as ended:
            command()
    finally:
        signal.signal(signal.SIGINT, previous)
    assert ended.value.exit_code == 130
    assert time.monotonic() - start < 4
