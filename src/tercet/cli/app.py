"""`tercet`: the commands, and how they end.

Results go to standard output, progress and complaints to standard error. Exit codes: 0 done, 2 bad
input (one line says what to do), 130 interrupted.
"""

import typer

from tercet._version import __version__
from tercet.cli import compare, demo, encode, evaluate, inspect, train

app = typer.Typer(
    name="tercet",
    help="Train text-embedding models with triplet losses: labelled sentences in, a better model out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("inspect")(inspect.inspect)
app.command("train")(train.train)
app.command("compare")(compare.compare)
app.command("evaluate")(evaluate.evaluate)
app.command("encode")(encode.encode)
app.command("demo")(demo.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tercet {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Train text-embedding models with triplet losses: labelled sentences in, a better model out."""
