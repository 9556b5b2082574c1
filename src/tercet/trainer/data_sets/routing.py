"""Find the task of each text column of a training, by which a `Router` chooses the route of its texts.

The training argument `router_mapping` and its meaning are those of sentence-transformers.
"""

from collections.abc import Mapping
from typing import Any

from tercet._distributed import world_size
from tercet.encoder.modules import Router
from tercet.errors import DataError, ModelError, listed
from tercet.trainer.argument_checks.dictionaries import RouterMapping


def find_tasks(mapping: RouterMapping | None, columns: Mapping[str, str], name: str | None) -> dict[str, str | None]:
    """Return the task of each prepared text column, such as `anchor`; None is that of the default route.

    Args:
        mapping: the training argument.
        columns: the prepared text column of each text column of the data.
        name: the name of the data set, if there are several.
    """
    of_set: Mapping[str, Any] = mapping or {}
    if any(isinstance(value, Mapping) for value in of_set.values()):
        of_set = of_set.get(name or "", {})
    return {role: of_set.get(column, of_set.get(role)) for column, role in columns.items()}


def check_routes(
    mapping: RouterMapping | None, model: Any, columns: Mapping[str | None, Mapping[str, str]], *, triplets: bool
) -> None:
    """Check that each text column has a route, and that `router_mapping` names only what exists.

    Args:
        mapping: the training argument.
        model: the model.
        columns: for each data set, by name, the prepared text column of each text column; the name None is that of the
            only data set.
        triplets: whether the data are triplets.

    Raises:
        DataError: the model has a Router but there is no mapping, or the other way round; a data set, a column or a
            task does not exist; a column has no route; or several processes train routes on triplets.
    """
    router = next(iter(model))
    if not isinstance(router, Router):
        if mapping:
            raise DataError("router_mapping has no effect, because the model has no Router; leave it out")
        return
    if not mapping:
        raise DataError(
            "a model with a Router is trained by SentenceTransformerTrainer with the training argument router_mapping, "
            "which gives each text column a task, such as {'question': 'query', 'answer': 'document'}"
        )
    if triplets and world_size() > 1:
        raise DataError(
            "several processes cannot train a Router on triplets, whose columns are a forward pass each; train in one "
            "process, or on labelled sentences"
        )
    by_set = any(isinstance(value, Mapping) for value in mapping.values())
    sets = [one for one in columns if one is not None]
    if by_set and (unknown := [name for name in mapping if name not in columns]):
        raise DataError(
            f"router_mapping has the data set {unknown[0]!r}, but "
            + (f"the data sets are {listed(sets)}" if sets else "there is one data set, which has no name")
        )
    every = {column for of_set in columns.values() for pair in of_set.items() for column in pair}
    for set_name, of_set in columns.items():
        given = mapping.get(set_name or "", {}) if by_set else mapping
        known = {*of_set, *of_set.values()} if by_set else every
        if unknown := [column for column in given if column not in known]:
            raise DataError(
                f"router_mapping has a task for {unknown[0]!r}, but the text columns of the training data are "
                f"{listed(of_set)}"
            )
        tasks = find_tasks(mapping, of_set, set_name)
        for column, role in of_set.items():
            try:
                router.route(tasks[role])
            except ModelError as error:
                where = f"the column {column!r}" + ("" if set_name is None else f" of the data set {set_name!r}")
                raise DataError(f"router_mapping, {where}: {str(error).partition('; call ')[0]}") from None
