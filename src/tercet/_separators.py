"""The separators within a label: of the levels of nested labels, and of several labels of a row."""

from tercet.errors import DataError

# The characters between several labels in one cell, the least ambiguous first.
BETWEEN_LABELS = ("|", ";", "\n", "\t", ",")
# Between labels too, but also in names, such as "TCP/IP" and "R&D".
ALSO_IN_NAMES = ("/", "&", "+")
# The separators for the labels of a list: the first that no label contains.
JOINING_LABELS = (";", "|", ",", "/", " + ")

# By argument: what the separator separates, and an example.
_ARGUMENTS = {"label_levels": ("the levels", "/"), "multi_label": ("the labels of a row", ";")}


def check_separator(separator: str | None, argument: str) -> None:
    """Raise `DataError` if a separator is no string, or is empty or white space.

    Args:
        separator: the separator; None for none.
        argument: the argument that it was passed as, "label_levels" or "multi_label".
    """
    if separator is not None and not (isinstance(separator, str) and separator.strip()):
        what, example = _ARGUMENTS[argument]
        raise DataError(f"{argument} must be the separator of {what}, such as '{example}', got {separator!r}")
