"""Take option values and help texts from the catalogue.

The catalogue is read when a command line is parsed or a help text is printed. So a loss or a distance that a script or
a plugin registers is a valid option value too. A help text may contain these placeholders:

    {losses}  {distances}    the name and the summary of each entry
    {metrics}                the titles of the quality metrics
    {suffixes}               the file extensions of the file formats
"""

import re
import sys
import textwrap
from collections.abc import Callable
from typing import Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup

from tercet.catalogue import DISTANCES, FILE_FORMATS, LOSSES, METRICS, Registry
from tercet.cli.console import print_error
from tercet.cli.option_files import defaults_from_files
from tercet.cli.streams import safe_streams
from tercet.errors import DataError, TercetError, listed

# The width of the column of help texts. Typer's help is at most 80 columns wide.
_HELP_WIDTH = 46


_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def choice_option(registry: Registry[Any], help: str) -> Any:
    """Return a `typer.Option` that accepts the names in a registry and completes them in the shell."""

    def check(name: str | None) -> str | None:
        if name is not None and name not in registry:
            raise typer.BadParameter(f"{name!r} is not one of {listed(registry, limit=20)}")
        return name

    def complete(incomplete: str) -> list[tuple[str, str]]:
        return [(name, spec.summary) for name, spec in registry.items() if name.startswith(incomplete)]

    return typer.Option(metavar="NAME", callback=check, autocompletion=complete, help=help)


def seconds_of(text: str) -> float:
    """Return a time in seconds: `90`, `90s`, `10m` and `1.5h` are numbers of seconds, minutes and hours.

    Raises:
        typer.BadParameter: `text` is not a time.
    """
    text = str(text).strip().lower()
    try:
        return float(text.rstrip("smh")) * _SECONDS[text[-1:]] if text[-1:] in _SECONDS else float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time; expected for example 90s, 10m or 1.5h") from None


def margin_of(value: str | list[float]) -> float | list[float]:
    """Return a margin, or those of several levels with commas, such as `0.3,0.15`; those of a record are a list.

    Raises:
        typer.BadParameter: a margin is not a number.
    """
    if isinstance(value, list):
        return value
    try:
        margins = [float(part) for part in str(value).split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"expected a number, or one for each level of nested labels, such as 0.3,0.15, got {value!r}"
        ) from None
    return margins if len(margins) > 1 else margins[0]


def novelty_of(text: str) -> float | Literal["auto"]:
    """Return a limit of the novelty: a number, or "auto".

    Raises:
        typer.BadParameter: `text` is neither.
    """
    if str(text).strip().lower() == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number; expected for example 0.99, or auto") from None


class CatalogueCommand(TyperCommand):
    """A command that replaces the placeholders in its help texts when it prints them."""

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> Any:
        """Parse the arguments. Restate in plain words what Typer says about an invalid value."""
        given = list(args)
        # A shell replaces a variable that is not set by nothing, and an empty path means the current folder.
        for before, argument in zip(["", *given], given, strict=False):
            if not argument.strip():
                what = before if before.startswith("--") and "=" not in before else "an argument"
                raise DataError(f"{what} is empty, perhaps because a variable of the shell is not set; pass a value")
        defaults = defaults_from_files(self, given)
        try:
            return super().make_context(info_name, args, *more, **{"default_map": defaults or None, **extra})
        except typer.BadParameter as error:
            param = getattr(error, "param", None)
            value, name = _value_of(param, given), getattr(param, "name", None)
            if value is None and name in defaults:
                value = str(defaults[name])
            error.message = _in_plain_words(error.message, value)
            raise

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Replace the placeholders, and write the help into the formatter."""
        self.help = fill_placeholders(self.help)
        for param in self.params:
            param.help = fill_placeholders(getattr(param, "help", None))  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


class CatalogueGroup(TyperGroup):
    """The group of all commands. It prints a `TercetError` of the catalogue as one line and exits with code 2.

    A plugin that fails raises such an error before the command itself runs.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the command line and run the command, with guarded output streams."""
        with safe_streams() as stdout:
            try:
                return super().main(*args, **kwargs)
            except TercetError as error:
                print_error(str(error))
                sys.exit(2)
            finally:
                stdout.flush()
                if stdout.failure is not None:
                    print_error(f"cannot write the result to standard output: {stdout.failure.strerror}")
                    sys.exit(2)


def _value_of(param: Any, args: list[str]) -> str | None:
    """Return the word after the last of the flags of a parameter, or None."""
    flags = {*getattr(param, "opts", ()), *getattr(param, "secondary_opts", ())}
    for word, value in reversed(list(zip(args, [*args[1:], ""], strict=True))):
        name, equals, joined = word.partition("=")
        if name in flags and name.startswith("-"):
            return joined if equals else value
    return None


def _in_plain_words(message: str, value: str | None) -> str:
    """Rewrite the message of the validator that Typer uses, such as "Input should be a valid number, unable to…"."""
    message = message.removeprefix("Value error, ")
    if found := re.match(r"Input should be (?:a valid (\w+)|(.+?))(?:,|$)", message):
        kind = found[1] or found[2]
        article = "" if found[2] else "an " if kind[0] in "aeiou" else "a "
        return f"expected {article}{kind}" + ("" if value is None else f", got {value!r}")
    return message


def fill_placeholders(text: str | None) -> str | None:
    """Replace the placeholders of a help text by the entries of the catalogue."""
    for placeholder, content in _PLACEHOLDERS.items():
        if text is not None and placeholder in text:
            text = text.replace(placeholder, content())
    return text


def _summaries(registry: Registry[Any]) -> str:
    # The character \b at the start of a paragraph makes Click keep its line breaks.
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
