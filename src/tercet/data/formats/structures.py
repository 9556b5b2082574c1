"""Find the rows in the content of a JSON or YAML file. Each known structure has one function here.

[{"text": …, "label": …}, …]                  objects; also inside one key, such as {"data": [ … ]}
[[text, label], …]                            pairs, with the columns "0" and "1"
{"train": [ … ], "test": [ … ]}               splits, each of objects or pairs; the option `split` chooses one
{"greet": [text, …], "bye": [text, …]}        a list of texts for each label
{"greet": [{"data": [{"text": …}, …]}, …]}    texts in parts, as in the Snips data
{"intents": [{"tag": …, "patterns": [ … ]}]}  a list of texts in each object
{"text": [ … ], "label": [ … ]}               columns, also as pandas writes them (`orient`)
{"text": …, "label": …}                       one row, if a usual name of texts has a string and nothing else fits
{"rasa_nlu_data": …}, {"nlu": [ … ]}          training data of Rasa, see `rasa.py`
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tercet.data.columns.names import USUAL_NAMES, is_usual_name, usual_columns
from tercet.data.formats.json_lines import ObjectRows
from tercet.data.formats.rasa import read_examples, read_nlu
from tercet.data.formats.split_names import is_split
from tercet.data.tables.table import Columns
from tercet.errors import DataError, listed, short_repr

_LISTS_OF_TEXTS = ("patterns", "examples", "utterances", "texts", "sentences", "queries", "phrases", "samples")


def find_rows(value: Any, path: Path, split: str) -> Columns:
    """Return the columns of the content of a file, and its splits if it has some.

    Args:
        value: the content: lists, dictionaries, strings and numbers.
        path: the file, for messages.
        split: the split to read if the content has several.

    Raises:
        DataError: the structure is unknown or has two meanings, or there is no such split.
    """
    if isinstance(value, list):
        return _without_splits(_list(value, path))
    if isinstance(value, dict) and value:
        return _without_splits(_object(value, path, split))
    raise _unknown(path, f"it contains {'nothing' if not value else short_repr(value, 40)}")


def _without_splits(columns: Columns | dict[str, list[Any]]) -> Columns:
    """Return a dictionary as `Columns` of a file that has no splits; `Columns` are returned as they are."""
    return columns if isinstance(columns, Columns) else Columns.of_split(columns, [], [])


def _object(value: dict[str, Any], path: Path, split: str) -> Columns | dict[str, list[Any]]:
    if isinstance(value.get("rasa_nlu_data"), dict):
        return read_examples(value["rasa_nlu_data"], path)
    if isinstance(value.get("nlu"), list):
        return read_nlu(value["nlu"], path)
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):  # pandas, orient="split"
        width = len(value["columns"])
        if not all(isinstance(row, list) and len(row) == width for row in value["data"]):
            raise _unknown(path, f"not every row of 'data' is a list of {width} values, one for each of 'columns'")
        return {str(name): [row[at] for row in value["data"]] for at, name in enumerate(value["columns"])}
    items = list(value.values())
    if all(isinstance(item, dict) for item in items):
        if len({tuple(item) for item in items}) == 1:  # pandas, orient="columns" or "index"
            inner = list(items[0])
            if any(map(is_usual_name, value)):
                return {name: list(item.values()) for name, item in value.items()}
            if any(map(is_usual_name, inner)):
                return {name: [item[name] for item in items] for name in inner}
        raise _unknown(path, f"it is an object of objects ({listed(value, 3)})")
    lists = {name: item for name, item in value.items() if isinstance(item, list)}
    if not lists:
        if _is_row(value, lists):
            return _objects([value], path)
        raise _unknown(path, f"it is one object with the keys {listed(value, 3)}")
    if all(is_split(name) for name in lists):
        if split not in lists:
            raise DataError(f"{path} has no split {split!r}; pass split, one of {listed(lists, 12)}")
        not_read = [name for name in lists if name != split]
        return Columns.of_split(_list(lists[split], path), list(lists), not_read)
    columns = _columns(lists, path) if len(lists) == len(value) else None
    if columns is not None:
        return columns
    only = next(iter(lists.values()))
    if len(lists) == 1 and only and _is_rows(only):
        return _list(only, path)
    if len(lists) == len(value):
        return _by_label(lists, path)
    return _objects([value], path) if _is_row(value, lists) else _no_choice(lists, path)


def _is_row(value: dict[str, Any], lists: Mapping[str, list[Any]]) -> bool:
    """Return whether an object that has no other structure is a row with a text, such as one line of JSON Lines.

    Lists in it are values, such as labels, unless they may be data: lists of lists, splits, and lists with a usual name
    of texts. Lists of objects are values, such as entities, only beside a label and without usual names in them.
    """
    has_text = any(isinstance(value[name], str) for name in usual_columns(value, "text"))
    has_label = any(usual_columns(value, "label", group) for group in range(len(USUAL_NAMES["label"])))
    named = [name for name in lists if is_split(name) or name.lower() in _LISTS_OF_TEXTS]
    items = [item for values in lists.values() for item in values]
    objects = [item for item in items if isinstance(item, dict)]
    has_rows = any(isinstance(item, list) for item in items) or any(is_usual_name(name) for o in objects for name in o)
    return has_text and not named and not usual_columns(lists, "text") and not has_rows and (has_label or not objects)


def _no_choice(lists: Mapping[str, Any], path: Path) -> Columns:
    raise _unknown(path, f"it is an object with several lists and other values ({listed(lists, 3)})")


def _is_rows(items: list[Any]) -> bool:
    """Return whether a list has the rows of a table, rather than the texts of a label."""
    return all(isinstance(item, dict) and "data" not in item for item in items) and len(items[0]) > 1


def _columns(lists: dict[str, list[Any]], path: Path) -> dict[str, list[Any]] | None:
    """Return the lists as columns if their names are those of columns; None if the names are labels.

    Raises:
        DataError: both are plausible.
    """
    usual = [name for name in lists if is_usual_name(name)]
    same_length = len(lists) > 1 and len({len(items) for items in lists.values()}) == 1
    plain = all(not isinstance(item, (list, dict)) for items in lists.values() for item in items)
    if not usual or not same_length or not plain:
        return None
    if len(usual) > 1:
        return lists
    raise DataError(
        f"{path}: the lists ({listed(lists, 4)}) may be columns, or the texts of one label each; write a list of "
        'objects such as [{"text": "hello", "label": "greeting"}]'
    )


def _list(items: list[Any], path: Path) -> Columns | dict[str, list[Any]]:
    if not items:
        return {"text": []}
    if all(isinstance(item, dict) for item in items):
        texts = next(
            (key for key in items[0] if key.lower() in _LISTS_OF_TEXTS and isinstance(items[0][key], list)), None
        )
        return _objects(items, path) if texts is None else _lists_in_objects(items, texts, path)
    if all(isinstance(item, str) for item in items):
        return {"text": items}
    if all(isinstance(item, list) for item in items):
        if len({len(item) for item in items}) > 1:
            raise _unknown(path, "its lists have different lengths")
        return {str(at): [item[at] for item in items] for at in range(len(items[0]))}
    row = next(row for row, item in enumerate(items) if type(item) is not type(items[0]))
    raise _unknown(path, f"row {row} is {short_repr(items[row], 40)}, but the first one is of another type")


def _objects(items: list[Any], path: Path) -> Columns:
    rows = ObjectRows(lambda row: f"{path}, row {row}")
    for item in items:
        rows.add(list(item.items()))
    return rows.columns()


def _lists_in_objects(items: list[Any], texts: str, path: Path) -> dict[str, list[Any]]:
    """Return one row for each text of objects such as {"tag": "greet", "patterns": ["hello", "good day"]}."""
    names = [key for key, value in items[0].items() if isinstance(value, str)]
    label = next((key for key in names if is_usual_name(key)), names[0] if len(names) == 1 else None)
    if label is None:
        raise _unknown(
            path, f"the objects have lists in {texts!r}, but no key that is the label ({listed(items[0], 4)})"
        )
    for row, item in enumerate(items):
        if texts not in item or not isinstance(item[texts], list | str | None):
            raise _unknown(path, f"row {row} has no list of texts {texts!r}, as the first one has")
    pairs = [(text, item.get(label)) for item in items for text in _as_list(item[texts])]
    return {"text": [text for text, _ in pairs], label: [name for _, name in pairs]}


def _as_list(texts: list[Any] | str | None) -> list[Any]:
    return [texts] if isinstance(texts, str) else texts or []


def _by_label(lists: dict[str, list[Any]], path: Path) -> dict[str, list[Any]]:
    texts: list[Any] = []
    labels: list[str] = []
    for label, items in lists.items():
        for row, item in enumerate(items):
            if (text := _text_of(item)) is None:
                raise _unknown(path, f"item {row} of {label!r} is {short_repr(item, 60)}, but a text is expected")
            texts.append(text)
            labels.append(label)
    return {"text": texts, "label": labels}


def _text_of(item: Any) -> str | None:
    """Return a text, or the text of an object, or the joined texts of its parts; None if it has none."""
    if isinstance(item, str):
        return item
    if isinstance(item, dict):
        return _text_of(item["text"]) if isinstance(item.get("text"), str) else _text_of(item.get("data"))
    if isinstance(item, list) and item and all(isinstance(part, dict) for part in item):
        parts = [part.get("text") for part in item]
        return "".join(parts) if all(isinstance(part, str) for part in parts) else None
    return None


def _unknown(path: Path, what: str) -> DataError:
    return DataError(
        f"{path} has an unknown structure: {what}; convert it to a list of objects, for example with json.dump("
        '[{"text": text, "label": label} for text, label in rows], open("data.json", "w"))'
    )
