"""Find the split to evaluate on, if no evaluation data are passed: the first of `EVALUATION_SPLITS` that exists.

evaluation_split   in a dictionary of tables
evaluation_table   in a file or folder with splits
evaluation_value   in a column with the name of each row's split
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tercet.data.formats.split_names import EVALUATION_SPLITS
from tercet.data.reading.in_memory import is_table_dict
from tercet.data.reading.options import ReadOptions
from tercet.data.reading.selection import log_not_read, read_all
from tercet.data.tables.cells import is_missing_value
from tercet.data.tables.table import Table
from tercet.errors import listed

logger = logging.getLogger(__name__)


def evaluation_split(data: Any, eval_data: Any, split: str, eval_fraction: float) -> Any:
    """Return `eval_data`; if it is None, the table to evaluate on in a dictionary of tables `data`, or None.

    It is the first of the splits `validation`, `valid`, `val`, `dev`, `eval` and `test` that exists and is not `split`.
    With an `eval_fraction` of 0, nothing is evaluated.
    """
    if eval_data is not None or eval_fraction == 0 or not is_table_dict(data):
        return eval_data
    found = next((name for name in EVALUATION_SPLITS if name in data and name != split), None)
    if found is None:
        return None
    logger.info(f"trains on the split {split!r} of the data and evaluates on the split {found!r}")
    return data[found]


def evaluation_table(
    source: Any, table: Table, options: ReadOptions, labels: Sequence[str], *, wanted: bool
) -> tuple[str, Table] | None:
    """Return the name and the rows of the split to evaluate on, of a file or folder with splits; None if it has none.

    If the rows of this split have no labels, as in many competitions, that is logged, and None is returned.

    Args:
        source: the file or folder.
        table: the rows of the split to train on.
        options: how they were read.
        labels: the columns of labels that the rows must have.
        wanted: whether there are no other rows to evaluate on. If not, only what is not read is logged.
    """
    name = next((name for name in EVALUATION_SPLITS if name in table.splits and name != options.split), None)
    if not wanted or name is None or options.label_file is not None or options.split_column is not None:
        log_not_read(table, options)
        return None
    found = read_all(source, replace(options, split=name))
    missing = [
        column for column in labels if column not in found.columns or all(map(is_missing_value, found.columns[column]))
    ]
    if missing:
        logger.info(
            f"{table.source}: trains on the split {options.split!r}, and is not evaluated on the split {name!r}, which "
            f"has no values in the column {listed(missing)}"
        )
        return None
    others = [split for split in table.splits if split not in (name, options.split)]
    unread = f"; not used: {listed(others, 5)}" if others else ""
    logger.info(
        f"{table.source}: trains on the split {options.split!r} and evaluates on the split {name!r}{unread}; for other "
        "rows, pass the file of one split as data"
    )
    return name, found


def evaluation_value(table: Table, options: ReadOptions) -> str | None:
    """Return the value of `split_column` of the rows to evaluate on; None if there is no such column or value.

    If the other values are no names of evaluation splits, that is logged, because their rows are not used.
    """
    if options.split_column is None or options.split_column not in table.columns:
        return None
    values = {str(value).strip() for value in table.columns[options.split_column]} - {options.split}
    by_name = {value.lower(): value for value in sorted(values)}
    found = next((by_name[name] for name in EVALUATION_SPLITS if name in by_name), None)
    if found is None and values:
        logger.info(
            f"{table.source}: rows with {listed(sorted(values), 5)} in {options.split_column!r} are not used, because "
            f"evaluation rows have one of {listed(EVALUATION_SPLITS, 10)}"
        )
    return found
