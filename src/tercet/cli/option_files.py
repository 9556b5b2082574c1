"""Take the defaults of a command from files: `--config` reads options, `--repeat` reads the record of a run.

The command line overrides the values of a file. Paths in a file are relative to the current folder, as on the command
line.
"""

import tomllib
import types
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from tercet._files import expand_path
from tercet.errors import DataError, did_you_mean, short_repr
from tercet.runs.repeat import is_of_vectors, read_record, repeat_arguments
from tercet.runs.settings import RunSettings

# Options that no file can set.
_NOT_IN_FILES = {"config", "repeat"}
# If one of these options is on the command line, values of a file that would override or contradict it are not used.
_OVERRIDES = {
    "eval_data": {"eval_fraction"},
    "eval_fraction": {"eval_data"},
    "epochs": {"max_steps", "steps", "minutes"},
    "max_steps": {"epochs", "time_limit"},
    "steps": {"epochs", "minutes"},
    "minutes": {"epochs", "steps"},
    "time_limit": {"max_steps"},
    "resume": {"overwrite"},
    "overwrite": {"resume"},
    "no_classifier": {"keep_texts"},
    "keep_texts": {"no_classifier"},
}
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text in quotation marks"}


def defaults_from_files(command: Any, args: Sequence[str]) -> dict[str, Any]:
    """Return the values of the file at `--config` or `--repeat`, by the parameters of the command.

    Args:
        command: the command of Typer.
        args: the command line after the name of the command.

    Raises:
        DataError: the file cannot be read, or has an unknown option or a value of another type.
    """
    flags = {param.name: {*param.opts, *param.secondary_opts} for param in command.params}
    paths = {name: path for name in ("config", "repeat") if name in flags and (path := _value(args, flags[name]))}
    if len(paths) > 1:
        raise DataError("--config and --repeat exclude each other; give one")
    if not paths:
        return {}
    values = read_config(paths["config"], command) if "config" in paths else _recorded(paths["repeat"])
    given = {name for name, own in flags.items() if any(word.partition("=")[0] in own for word in args)}
    overridden = {name for option in given for name in _OVERRIDES.get(option, ())}
    return {name: value for name, value in values.items() if name not in overridden}


def read_config(path: str | Path, command: Any) -> dict[str, Any]:
    """Return the options in a TOML file, by the parameters of the command. Keys are option names, with - or _.

    Raises:
        DataError: the file cannot be read, or has an unknown option or a value of another type.
    """
    try:
        content = tomllib.loads(expand_path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DataError(f"no file {str(path)!r}; check --config") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid TOML: {error}") from None
    params = {_key(param): param.name for param in command.params if param.name not in _NOT_IN_FILES}
    hints = get_type_hints(command.callback, include_extras=True)
    values: dict[str, Any] = {}
    for written, value in content.items():
        key = written.replace("_", "-").lower()
        if isinstance(value, dict):
            raise DataError(f"{path} has the section [{written}]; write the options without sections")
        if key not in params:
            hint = did_you_mean(key, params)
            raise DataError(
                f"{path}: tercet {command.name} has no option {short_repr(written)} that a file can set; {hint}a key "
                "is the name of an option, such as 'batch-size'"
            )
        if params[key] in values:
            raise DataError(f"{path} has the option {key} twice, with - and with _; leave out one")
        values[params[key]] = _checked(value, hints[params[key]], f"{path}: {written}")
    return values


def _recorded(path: str) -> dict[str, Any]:
    """Return the arguments and settings in the record of a run, by the parameters of `tercet train`."""
    record = read_record(path)
    arguments = repeat_arguments(record)
    del arguments["repeats"]
    if isinstance(column := arguments.get("label_column"), str):
        arguments["label_column"] = [column]
    if is_of_vectors(record):
        return arguments
    settings, packing, classifier = (arguments.pop(name, True) for name in ("settings", "packing", "classifier"))
    named = {item.name: getattr(settings, item.name) for item in fields(RunSettings)}
    return {**arguments, **named, "no_packing": not packing, "no_classifier": not classifier}


def _value(args: Sequence[str], flags: set[str]) -> str | None:
    """Return the value of an option on the command line; None without it."""
    for word, following in zip(args, [*args[1:], ""], strict=True):
        name, equals, joined = word.partition("=")
        if name in flags:
            return joined if equals else following
    return None


def _key(param: Any) -> str:
    """Return the key of a parameter in a file: its first flag without dashes, or the name of an argument."""
    return next((flag.removeprefix("--") for flag in param.opts if flag.startswith("--")), str(param.name))


def _checked(value: Any, hint: Any, place: str) -> Any:
    """Return a value of a file for an option of type `hint`, or raise `DataError` if it has another type."""
    metadata: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        metadata = tuple(rest)
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    several = get_origin(hint) is list
    kind = get_args(hint)[0] if several else hint
    kind = str if issubclass(kind, Path) else kind
    if hint is Any:  # a number, or one for each level
        items = value if isinstance(value, list) else [value]
        fits = all(_is_a(item, float) for item in items) or isinstance(value, str)
        wanted = "a number or a list of numbers"
    elif any(getattr(item, "parser", None) for item in metadata):
        fits, wanted = isinstance(value, (str, int, float)) and not isinstance(value, bool), "a number or text"
    else:
        items = value if several and isinstance(value, list) else [value]
        fits = all(_is_a(item, kind) for item in items)
        wanted = f"a list of {_KINDS[kind]}" if several else _KINDS[kind]
    if not fits:
        raise DataError(f"{place} must be {wanted}, got {_shown(value)}")
    if isinstance(value, str) and not value.strip():
        raise DataError(f"{place} is empty; write a value, or leave out the key")
    return [value] if several and not isinstance(value, list) else value


def _is_a(value: Any, kind: type) -> bool:
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _shown(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else short_repr(value)
