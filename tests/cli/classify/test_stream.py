"""`tercet classify` answers a stream line by line."""

import json
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress

import pytest

from tests.child import ENVIRONMENT, start_tercet
from tests.cli.classify.files import rows_of, write
from tests.cli.command import run
from tests.conftest import TOPICS


def test_a_stream_from_standard_input(model, new):
    texts = new[0][:3]
    content = f'{texts[0]}\r\n\r\n  \n{texts[1]}, "x"\n{texts[2]}'
    done = run("classify", model, "-", stdin=content)
    rows = rows_of(done.stdout)
    assert [row["text"] for row in rows] == [texts[0], f'{texts[1]}, "x"', texts[2]]
    assert all(row["label"] in TOPICS for row in rows)
    assert "coverage 100.0 %: 3 of 3 rows answered" in done.stderr
    assert run("classify", model, "-", stdin="").stdout == "text,label,confidence,novelty\n"
    bad = run("classify", model, "-", stdin=b"a\nb\xff\n", expect=2)
    assert "standard input, line 2, is not UTF-8: byte 0xff" in bad.stderr
    assert "leave out the options for columns" in run("classify", model, "-", "--text-column", "a", expect=2).stderr


@contextmanager
def _stream(*arguments):
    """Start `tercet …` with pipes, and close them at the end."""
    process = start_tercet(*arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with suppress(BrokenPipeError):
                pipe.close()


def _send(process, text):
    process.stdin.write(f"{text}\n")
    process.stdin.flush()


@pytest.mark.slow
def test_a_stream_is_answered_line_by_line_until_its_reader_goes(model, new):
    with _stream("classify", model, "-", "--format", "jsonl", "--quiet", "--device", "cpu") as process:
        for text in new[0][:3]:
            _send(process, text)
            assert json.loads(process.stdout.readline())["text"] == text  # before the next line is written
        process.stdout.close()
        _send(process, "one more")
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


@pytest.mark.slow
def test_ctrl_c_ends_a_stream(model, new):
    with _stream("classify", model, "-", "--quiet") as process:
        _send(process, new[0][0])
        assert process.stdout.readline() == "text,label,confidence,novelty\n"
        assert process.stdout.readline().startswith(new[0][0])
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == "tercet: interrupted\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shell", "code", "errors"),
    [
        ("| head -n 2; exit ${PIPESTATUS[0]}", 0, ""),
        (">/dev/full", 2, "tercet: error: cannot write the result to standard output: No space left on device\n"),
    ],
)
def test_a_reader_that_goes_and_a_full_disk_end_the_command(shell, code, errors, model, new, tmp_path):
    data = write(tmp_path / "new.csv", {"text": new[0] * 500})
    command = f"{sys.executable} -m tercet classify {model} {data} --quiet {shell}"
    done = subprocess.run(["bash", "-c", command], env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (code, errors)
