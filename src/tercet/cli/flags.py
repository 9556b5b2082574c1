"""Translate the arguments in messages of the library to the flags of a command."""

import inspect
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

# Arguments of the library whose flag has another name, by command. A flag that ends in "=" is followed by the value.
_OTHER_NAMES: Mapping[str, Mapping[str, str]] = {
    "compare": {
        "max_steps": "--steps",
        "loss": "--grid loss=",
        "margin": "--grid margin=",
        "distance": "--grid distance=",
    },
    # Arguments of LabelClassifier.fit, which are flags of another command.
    "classify": {
        "calibration_data": "--calibration-data",
        "unseen_rows": "--unseen-rows",
    },
}
# Arguments of the library that a flag of another name than `--no-…` turns off.
_NEGATED = {"show_progress_bar": "quiet"}
_VALUE = r"True|False|None|-?\d[\d.e+-]*(?<!\.)|'[^']*'|\"[^\"]*\""
# Text in quotation marks, such as a column or a label. An apostrophe inside a word opens no quotation.
_QUOTED = r"(?<![\w=])'(?:[^'\\]|\\.)*'(?!\w)|(?<![\w=])\"(?:[^\"\\]|\\.)*\"(?!\w)"
# A list of arguments at the start of a message, such as "coverage and threshold exclude each other".
_EXCLUSIVE = re.compile(r"\w+(?:(?:,| and) \w+)* exclude each other")


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The options of a command.

    Attributes:
        by_argument: the flag of each argument of the library, such as `{"eval_fraction": "--eval-fraction"}`. The
            positional arguments of the command have no flag.
    """

    by_argument: Mapping[str, str]

    @classmethod
    def of(cls, command: Callable[..., Any]) -> "Flags":
        """Return the flags of a function that Typer runs."""
        names = list(inspect.signature(command).parameters)
        hints = get_type_hints(command, include_extras=True)
        metadata = {name: getattr(hints.get(name), "__metadata__", ()) for name in names}
        options = [name for name in names if not any(isinstance(item, ArgumentInfo) for item in metadata[name])]
        flags = {name: _declared(metadata[name]) or flag_of(name) for name in options}
        for name, flag in list(flags.items()):
            if "/" in flag:  # such as --header/--no-header
                flags[name], flags[f"no_{name}"] = flag.split("/")
        return cls(by_argument={**flags, **_OTHER_NAMES.get(command.__name__, {})})

    def name_in(self, message: str, values: Iterable[object] = ()) -> str:
        """Replace argument names in a message of the library by the flags of the command.

        `overwrite=True` becomes `--overwrite`, `eval_fraction=0` becomes `--eval-fraction 0`, and `text_column` becomes
        `--text-column`. Values are quoted for a shell where needed. A name without an underscore, such as `model`, may
        be a plain English word. It is replaced only with `=`, in backticks, alone after "pass", as in "pass split, one
        of …", and at the start of a message: before "must" or a colon, as in "epochs must be above 0", and in a list
        that ends in "exclude each other".
        Text in quotation marks, paths and the values that the user has passed are not replaced. A value that is also a
        name, such as the split `train`, is that name at the start before "must".

        Args:
            message: the message of an exception.
            values: the values that the user has passed to the command.
        """
        if not self.by_argument:
            return message
        negated = {name.removeprefix("no_") for name in self.by_argument}
        names = sorted({*self.by_argument, *_NEGATED, *negated}, key=len, reverse=True)
        own = sorted({str(v) for v in values if isinstance(v, (str, Path)) and len(str(v)) > 1}, key=len, reverse=True)
        values_of_user = "|".join(map(re.escape, own)) or "(?!)"
        any_name = "|".join(map(re.escape, names))
        pattern = re.compile(
            rf"(?!\A(?:{any_name}) must )(?<![\w./-])(?P<user>{values_of_user})(?![\w/-]|=(?:{_VALUE}))"
            rf"|(?P<quoted>{_QUOTED})|(?<![\w'\"/.-])(?P<tick>`?)(?P<name>{any_name})"
            rf"(?:=(?P<value>{_VALUE}))?`?(?![\w'\"/=-]|\.\w)"
        )
        return pattern.sub(self._replace, message)

    def _replace(self, found: "re.Match[str]") -> str:
        name, value, whole = found["name"], found["value"], found[0]
        if name is None or (value is not None and found["tick"] and not whole.endswith("`")):
            return whole
        if value in ("False", "None"):
            flag = self.by_argument.get(_NEGATED.get(name, f"no_{name}"))
            return whole if flag is None or value == "None" else flag
        flag = self.by_argument.get(name)
        if flag is None:
            return whole
        if value is not None:
            separator = "" if flag.endswith("=") else " "
            # A shell would read a bare ";" or "|" itself.
            return flag if value == "True" else f"{flag}{separator}{shlex.quote(value.strip(chr(39) + chr(34)))}"
        before, after = found.string[: found.start()], found.string[found.end() :]
        first = not before and after.startswith((" must ", ": "))
        alone = before.endswith("pass ") and (not after or after[0] in ",;)")
        exclusive = _EXCLUSIVE.match(found.string)
        listed = exclusive is not None and found.end() <= exclusive.end()
        return flag.rstrip("=") if "_" in name or found["tick"] or first or alone or listed else whole


def flag_of(name: str) -> str:
    """Return the flag of an argument, such as `--text-column`."""
    return f"--{name.replace('_', '-')}"


def _declared(metadata: Iterable[Any]) -> str | None:
    """Return the flag that an option declares itself, such as `typer.Option("--json")`."""
    for item in metadata:
        if isinstance(item, OptionInfo):
            # Typer takes the first flag of an option in `Annotated` as the default, until it reads the command.
            declared = (item.default, *(item.param_decls or ()))
            return next((flag for flag in declared if isinstance(flag, str) and flag.startswith("--")), None)
    return None
