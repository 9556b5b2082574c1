"""Read .json and .yml files: `structures.py` finds the rows in their content."""

import json
from pathlib import Path
from typing import Any

from tercet.data.formats.json_lines import read_json_lines
from tercet.data.formats.structures import find_rows
from tercet.data.formats.text_files import open_text
from tercet.data.tables.table import Content
from tercet.errors import DataError, short_repr

EXTRA = "pip install 'tercet[files]'"


def read_json(path: Path, *, split: str = "train", encoding: str | None = None) -> Content:
    """Read a JSON file. A file that is JSON Lines in spite of its name is read as such.

    Args:
        path: the file.
        split: the split to read if the file contains several.
        encoding: the encoding; None finds it, see `find_encoding`.
    """
    twice: list[str] = []

    def checked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice.extend(name for name in found if names.count(name) > 1)
        return found

    with open_text(path, encoding) as file:
        content = file.read()
    try:
        value = json.loads(content, object_pairs_hook=checked)
    except json.JSONDecodeError as error:
        first = content.lstrip()[:1]
        if first == "{" and error.msg == "Extra data":
            return read_json_lines(path, encoding=encoding)
        raise DataError(f"{path}, line {error.lineno}: not valid JSON: {error.msg}") from None
    except RecursionError:
        raise DataError(f"{path}: not valid JSON: too many brackets inside of each other") from None
    if twice:
        raise DataError(f"{path}: the key {short_repr(twice[0])} occurs twice in an object; remove one of them")
    return find_rows(value, path, split), None


def read_yaml(path: Path, *, split: str = "train", encoding: str | None = None) -> Content:
    """Read a YAML file, such as training data of Rasa. The arguments are those of `read_json`.

    Values are texts as they are written, as in a .csv file: the intent `no` is no boolean, and 010 is not 8.
    """
    try:
        import yaml
    except ImportError:
        raise DataError(f"{path}: reading YAML needs another package; {EXTRA}") from None

    class Texts(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """A loader without the types of numbers, booleans and dates."""

    Texts.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in found if tag.endswith((":null", ":merge"))]
        for first, found in Texts.yaml_implicit_resolvers.items()
    }
    with open_text(path, encoding) as file:
        try:
            value = yaml.load(file, Texts)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = "" if mark is None else f", line {mark.line + 1}"
            raise DataError(f"{path}{place}: not valid YAML: {getattr(error, 'problem', error)}") from None
    return find_rows(value, path, split), None
