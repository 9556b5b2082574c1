"""The command `tercet` and its subcommands.

Results go to standard output. Notes, progress bars, warnings and errors go to standard error. Exit codes: 0 success,
1 unexpected error, 2 invalid input, 130 interrupted by Ctrl-C.
"""

import typer

from tercet._version import __version__
from tercet.cli import (
    classify,
    compare,
    demo,
    duplicates,
    encode,
    evaluate,
    fit_classifier,
    fix,
    inspect,
    search,
    train,
)
from tercet.cli.choices import CatalogueCommand, CatalogueGroup
from tercet.cli.threads import set_threads

app = typer.Typer(
    name="tercet",
    cls=CatalogueGroup,
    help="Train text-embedding models with triplet losses, on labelled sentences or on given triplets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    inspect.inspect,
    fix.fix,
    train.train,
    compare.compare,
    evaluate.evaluate,
    classify.classify,
    fit_classifier.fit_classifier,
    encode.encode,
    search.search,
    duplicates.duplicates,
    demo.demo,
):
    app.command(cls=CatalogueCommand)(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tercet {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Train text-embedding models with triplet losses, on labelled sentences or on given triplets."""
    set_threads()
