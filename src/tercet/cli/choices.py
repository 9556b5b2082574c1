"""Choices and help texts that come from the catalogue when a command line is parsed or help is printed.

A loss or a distance that is registered later, by a script or a plugin, is therefore a choice as well. A help text may
contain these placeholders:

    {losses}  {distances}    each entry, as its name and its summary
    {metrics}                the titles of the quality metrics
    {suffixes}               the suffixes of the file formats
"""

import sys
import textwrap
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from tercet.catalogue import DISTANCES, FILE_FORMATS, LOSSES, METRICS, Registry
from tercet.cli.console import print_error
from tercet.errors import TercetError, listed

# The column of help texts in a terminal of 80 columns, the widest that is used.
_HELP_WIDTH = 46


def choice_option(registry: Registry[Any], help: str) -> Any:
    """Return a `typer.Option` whose values are the names of a registry, with shell completion."""

    def check(name: str | None) -> str | None:
        if name is not None and name not in registry:
            raise typer.BadParameter(f"{name!r} is not one of {listed(registry, limit=20)}")
        return name

    def complete(incomplete: str) -> list[tuple[str, str]]:
        return [(name, spec.summary) for name, spec in registry.items() if name.startswith(incomplete)]

    return typer.Option(metavar="NAME", callback=check, autocompletion=complete, help=help)


class CatalogueCommand(TyperCommand):
    """A command that fills in the placeholders of its help texts when the help is printed."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help into the formatter."""
        self.help = fill_placeholders(self.help)
        for param in self.params:
            param.help = fill_placeholders(getattr(param, "help", None))  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


class CatalogueGroup(TyperGroup):
    """The commands. An error of the catalogue, such as a plugin that fails, is one line and exit code 2."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line."""
        try:
            return super().main(*args, **kwargs)
        except TercetError as error:
            print_error(str(error))
            sys.exit(2)


def fill_placeholders(text: str | None) -> str | None:
    """Replace the placeholders of a help text by what the catalogue contains."""
    for placeholder, content in _PLACEHOLDERS.items():
        if text is not None and placeholder in text:
            text = text.replace(placeholder, content())
    return text


def _summaries(registry: Registry[Any]) -> str:
    # The mark \b keeps the line breaks of the paragraph that it begins.
    entries = (
        textwrap.fill(f"{name}: {spec.summary}", _HELP_WIDTH, subsequent_indent="  ", break_on_hyphens=False)
        for name, spec in registry.items()
    )
    return "\n\n\b\n" + "\n".join(entries) + "\n\n"


_PLACEHOLDERS: dict[str, Callable[[], str]] = {
    "{losses}": lambda: _summaries(LOSSES),
    "{distances}": lambda: _summaries(DISTANCES),
    "{metrics}": lambda: ", ".join(spec.title for spec in METRICS.values() if spec.kind == "quality"),
    "{suffixes}": lambda: ", ".join(FILE_FORMATS),
}
