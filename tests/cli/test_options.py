"""The shared options: their checks, and how messages of the library name flags."""

import logging
import shlex
import subprocess
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from tercet.cli import console
from tercet.cli import options as opt
from tercet.cli.choices import fill_placeholders
from tercet.cli.command_errors import report_errors
from tercet.cli.compare import compare
from tercet.cli.flags import Flags
from tercet.errors import DataError
from tests.cli.command import run


def _command(
    data: opt.Data,
    model: opt.Model = "m",
    text_column: opt.TextColumn = None,
    eval_fraction: opt.EvalFraction = None,
    batch_size: opt.BatchSize = 64,
    epochs: Annotated[float, typer.Option()] = 1,
    loss: str = "x",
    no_packing: opt.NoPacking = False,
    header: opt.Header = None,
    combined_labels: opt.CombinedLabels = None,
    overwrite: bool = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """A command with options of every kind."""


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("pass `text_column`", "pass --text-column"),
        ("pass text_column.", "pass --text-column."),
        ("no row is held out (eval_fraction=0.2); take more", "no row is held out (--eval-fraction 0.2); take more"),
        ("m exists; pass `overwrite=True`", "m exists; pass --overwrite"),
        ("as_json=True", "--json"),
        ("pass loss='triplet', or packing=False", "pass --loss triplet, or --no-packing"),
        ("pass header=False if it is data, or header=True", "pass --no-header if it is data, or --header"),
        ("pass combined_labels='first'", "pass --combined-labels first"),
        ("epochs must be above 0", "--epochs must be above 0"),
        ("choose another `model`", "choose another --model"),
        ("the model overwrites data", "the model overwrites data"),
        ("data: it has no rows", "data: it has no rows"),
        ("data must be a file", "data must be a file"),
        ("model: unknown", "--model: unknown"),
        ("no epoch; pass epochs, such as 2", "no epoch; pass --epochs, such as 2"),
        ("for another model, pass model", "for another model, pass --model"),
        ("pass model folders, or a model", "pass model folders, or a model"),
        ("no column 'text_column'", "no column 'text_column'"),
        ("no column 'a text_column b', pass text_column", "no column 'a text_column b', pass --text-column"),
        ("the user's eval_fraction isn't in 'a'", "the user's --eval-fraction isn't in 'a'"),
        ("no file /tmp/batch_size/text_column.csv", "no file /tmp/batch_size/text_column.csv"),
        ("my_batch_size and batch_size_2", "my_batch_size and batch_size_2"),
        ("samples_per_label=4", "samples_per_label=4"),
    ],
)
def test_arguments_in_messages_of_the_library_become_flags(message, expected):
    assert Flags.of(_command).name_in(message) == expected


def test_values_of_the_user_are_not_taken_for_arguments():
    message = "eval_fraction already exists; pass eval_fraction"
    flags = Flags.of(_command)
    assert flags.name_in(message, ["x", Path("text_column")]).startswith("--eval-fraction already")
    assert flags.name_in("text_column exists; pass batch_size", [Path("text_column")]) == (
        "text_column exists; pass --batch-size"
    )


def test_a_value_that_is_the_name_of_an_option_does_not_hide_it():
    flags = Flags.of(_command)
    assert flags.name_in("loss must be one of 'x', got loss", ["loss"]) == "--loss must be one of 'x', got loss"
    assert flags.name_in("loss: 2 files; pass loss", ["loss"]) == "loss: 2 files; pass loss"


def test_a_comparison_names_its_own_options():
    flags = Flags.of(compare)
    assert flags.name_in("pass loss='triplet' or max_steps=5") == "pass --grid loss=triplet or --steps 5"


def test_an_error_of_the_library_is_one_line_with_flags(capsys):
    @report_errors
    def command(text_column: str, quiet: bool = False) -> None:
        raise DataError("no\n  column; pass `text_column`")

    with pytest.raises(typer.Exit) as ended:
        command(text_column="x")
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err == "tercet: error: no column; pass --text-column\n"


def test_an_unexpected_error_is_one_line_too(capsys, monkeypatch):
    monkeypatch.delenv("TERCET_DEBUG", raising=False)

    @report_errors
    def command() -> None:
        raise RuntimeError("a\nb")

    with pytest.raises(typer.Exit) as ended:
        command()
    assert ended.value.exit_code == 1
    expected = "tercet: error: unexpected RuntimeError: a b (set TERCET_DEBUG=1 to see the traceback)\n"
    assert capsys.readouterr().err == expected
    monkeypatch.setenv("TERCET_DEBUG", "1")
    with pytest.raises(RuntimeError):
        command()


@pytest.mark.parametrize("quiet", [False, True])
def test_quiet_turns_off_notes_warnings_and_progress_bars(quiet, capsys, monkeypatch):
    environment = {}
    monkeypatch.setattr("os.environ", environment)

    @report_errors
    def command(quiet: bool) -> None:
        console.print_note("a note")

    command(quiet=quiet)
    assert capsys.readouterr().err == ("" if quiet else "a note\n")
    assert logging.getLogger("tercet").getEffectiveLevel() == (logging.ERROR if quiet else logging.INFO)
    assert environment.get("TQDM_DISABLE") == "1"  # standard error is no terminal here


def test_a_choice_is_checked_and_its_help_is_filled_in():
    app = typer.Typer(rich_markup_mode=None)

    @app.command()
    def command(distance: opt.Distance = "cosine") -> None:
        typer.echo(distance)

    assert CliRunner().invoke(app, ["--distance", "manhattan"]).stdout == "manhattan\n"
    refused = CliRunner().invoke(app, ["--distance", "x"])
    assert refused.exit_code == 2
    assert "'x' is not one of 'euclidean', 'cosine', 'manhattan'" in refused.output
    assert "cosine: 1 − cos(x, y)" in fill_placeholders("{distances}")
    assert (
        fill_placeholders("{suffixes}")
        == ".csv, .tsv, .jsonl, .ndjson, .parquet, .json, .xlsx, .txt, .yml, .yaml, .md, .arrow"
    )
    assert fill_placeholders("{other}") == "{other}"
    assert fill_placeholders(None) is None


def test_an_empty_argument_is_refused(tmp_path):
    done = run("train", "data.csv", "--output", "", cwd=tmp_path, expect=2)
    assert "--output is empty, perhaps because a variable of the shell is not set; pass a value" in done.stderr
    done = run("train", "", "--output", "model", cwd=tmp_path, expect=2)
    assert "an argument is empty, perhaps because a variable of the shell is not set; pass a value" in done.stderr
    assert not any(tmp_path.iterdir())


def test_a_command_line_is_readable_and_the_shell_reads_the_same_words():
    words = ["python", "-c", "print('a b')", "it's $HOME", 'a "quote" isn\'t', "`x`'", "x!'", "\\'", "", "a b", "é"]
    shown = console.command_line(words)
    assert shown.startswith("""python -c "print('a b')" """)
    assert shlex.split(shown) == words
    printed = subprocess.run(["bash", "-c", f"printf '%s\\n' {shown}"], capture_output=True, text=True).stdout
    assert printed.split("\n")[:-1] == words
