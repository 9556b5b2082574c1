"""Find the prompts of a training: the strings before the texts of each column.

By default they are the model's default prompt, as in `encode`, so training, evaluation and use see the same texts.
"""

from collections.abc import Mapping
from typing import Any

from tercet.encoder.encode_arguments import find_prompt
from tercet.encoder.modules import Pooling
from tercet.errors import DataError, listed
from tercet.trainer.argument_checks.dictionaries import Prompts


def find_prompts(prompts: Prompts, model: Any, columns: Mapping[str, str], name: str | None = None) -> dict[str, str]:
    """Return the prompt of each prepared text column, such as `anchor`.

    Args:
        prompts: the training argument. None means the model's default prompt, a string all columns. A dictionary gives
            the prompt by column, or by the name of the data set; other columns and data sets have none.
        model: the model.
        columns: the prepared text column of each text column of the data.
        name: the name of the data set, if there are several.
    """
    roles = dict.fromkeys(columns.values(), "")
    if prompts is None:
        return dict.fromkeys(roles, find_prompt(model.prompts, model.default_prompt_name, None))
    if isinstance(prompts, Mapping) and name is not None and name in prompts:
        prompts = prompts[name]
    if isinstance(prompts, str):
        return dict.fromkeys(roles, prompts)
    for column, prompt in prompts.items():
        role = columns.get(column, column)
        if role in roles and isinstance(prompt, str):
            roles[role] = prompt
    return roles


def check_prompts(prompts: Prompts, columns: Mapping[str | None, Mapping[str, str]]) -> None:
    """Check that the training argument `prompts` names data sets and columns that exist, and gives strings.

    Args:
        prompts: the training argument.
        columns: for each data set, by name, the prepared text column of each text column; the name None is that of the
            only data set.

    Raises:
        DataError: `prompts` has another type, or names a data set or a column that does not exist.
    """
    if prompts is None or isinstance(prompts, str):
        return
    every = dict.fromkeys(column for one in columns.values() for pair in one.items() for column in pair)
    shown = listed(dict.fromkeys(column for one in columns.values() for column in one))
    for key, value in prompts.items():
        if key in columns and isinstance(value, Mapping):
            check_prompts(value, {key: columns[key]})
        elif key not in columns and key not in every:
            sets = [name for name in columns if name is not None]
            raise DataError(
                f"prompts has a prompt for {key!r}, but the text columns of the training data are {shown}"
                + (f", and the data sets are {listed(sets)}" if sets else "")
            )
        elif not isinstance(value, str):
            raise DataError(f"prompts: the prompt of {key!r} must be a string, got {type(value).__name__}")


def prompt_lengths_to_exclude(
    prompts: Mapping[str, str], tasks: Mapping[str, str | None], model: Any
) -> dict[str, int]:
    """Return the number of prompt tokens of each text column that pooling leaves out; 0 if it includes the prompt.

    Args:
        prompts: the prompt of each prepared text column.
        tasks: the task of each column, by which a Router chooses the tokenizer.
        model: the model.
    """
    if all(module.include_prompt for module in model.modules() if isinstance(module, Pooling)):
        return dict.fromkeys(prompts, 0)
    return {
        column: model.input_module.for_task(tasks.get(column)).prompt_length(prompt) if prompt else 0
        for column, prompt in prompts.items()
    }


def check_one_prompt_length(lengths: Mapping[str, int]) -> None:
    """Check the prompts of columns that are one row of tokens.

    Raises:
        DataError: the columns have prompts of different lengths, but a row has one length.
    """
    if len(set(lengths.values())) > 1:
        raise DataError(
            "the prompts of the columns have different lengths, but the pooling of this model leaves out the prompt "
            "(include_prompt=False), which needs one length; use one prompt for all columns"
        )
