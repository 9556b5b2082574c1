"""Read .txt files: one text per line."""

from pathlib import Path

from tercet._texts import text_key
from tercet.data.formats.separated import read_separated
from tercet.data.formats.text_files import open_text
from tercet.data.tables.table import Content
from tercet.errors import DataError

_FASTTEXT = "__label__"


def read_txt(
    path: Path, *, header: bool = False, csv_separator: str | None = None, encoding: str | None = None
) -> Content:
    """Read a file with one text per line, as the column `text`. Lines that show nothing have a missing text.

    If every line starts with `__label__`, as in data for fastText, the labels are the column `label`. A line may have
    several of them; its labels are then a list.

    Args:
        path: the file.
        header: whether the first line contains the column names; only with `csv_separator`.
        csv_separator: the separator of columns, if the file has several.
        encoding: the encoding; None finds it, see `find_encoding`.

    Raises:
        DataError: every line has a tab, and `csv_separator` does not say what it means; or `header` is True without
            `csv_separator`.
    """
    if csv_separator is not None:
        return read_separated(path, csv_separator, header=header, csv_separator=csv_separator, encoding=encoding)
    if header:
        raise DataError(
            f"header=True is for columns, but each line of {path} is a text; leave out header=True, or pass "
            "csv_separator if the lines have columns"
        )
    with open_text(path, encoding) as file:
        texts = [line.rstrip("\r\n") for line in file]
    while texts and not texts[-1].strip():
        texts.pop()
    lines = list(range(1, len(texts) + 1))
    filled = [text for text in texts if text_key(text)]
    if filled and all(text.startswith(_FASTTEXT) for text in filled):
        found = [_labels_and_text(text) for text in texts]
        return {"text": [text for _, text in found], "label": [labels for labels, _ in found]}, lines
    if len(filled) > 1 and len({text.count("\t") for text in filled}) == 1 and "\t" in filled[0]:
        raise DataError(
            f"{path} has a tab in every line: is each line a text, or has it several columns? For columns, pass "
            "csv_separator='tab', and header=True if the first line contains their names; for texts, remove the tabs"
        )
    return {"text": texts}, lines


def _labels_and_text(line: str) -> tuple[str | list[str], str]:
    """Return the label of a line for fastText, or the list of its labels, and its text.

    Example:
        >>> _labels_and_text("__label__bug __label__ui the button is gone")
        (['bug', 'ui'], 'the button is gone')
    """
    labels, rest = [], line.strip()
    while rest.startswith(_FASTTEXT):
        word, *more = rest.split(maxsplit=1)
        labels.append(word.removeprefix(_FASTTEXT))
        rest = more[0] if more else ""
    return labels[0] if len(labels) == 1 else labels, rest
