"""Find the prompts of a training: the strings before the texts of each column.

By default they are the model's default prompt, as in `encode`, so training, evaluation and use see the same texts.
"""

from collections.abc import Mapping
from typing import Any

from tercet.encoder.encode import find_prompt, prompt_length
from tercet.encoder.modules import Pooling
from tercet.errors import DataError, listed


def find_prompts(prompts: str | Mapping[str, str] | None, model: Any, columns: Mapping[str, str]) -> dict[str, str]:
    """Return the prompt of each prepared text column, such as `anchor`.

    Args:
        prompts: the training argument. None means the model's default prompt, a string all columns. A dictionary gives
            the prompt by column; other columns have none.
        model: the model.
        columns: the prepared text column of each text column of the data.

    Raises:
        DataError: `prompts` has another type, or names a column that does not exist.
    """
    roles = dict.fromkeys(columns.values(), "")
    if prompts is None:
        return dict.fromkeys(roles, find_prompt(model.prompts, model.default_prompt_name, None))
    if isinstance(prompts, str):
        return dict.fromkeys(roles, prompts)
    for name, prompt in prompts.items():
        role = columns.get(name, name)
        if role not in roles:
            raise DataError(
                f"prompts has a prompt for {name!r}, but the text columns of the training data are {listed(columns)}"
            )
        if not isinstance(prompt, str):
            raise DataError(f"prompts: the prompt of {name!r} must be a string, got {type(prompt).__name__}")
        roles[role] = prompt
    return roles


def prompt_length_to_exclude(prompts: Mapping[str, str], model: Any) -> int:
    """Return the number of prompt tokens that pooling leaves out; 0 if the pooling includes the prompt.

    Raises:
        DataError: the columns have prompts of different lengths, but a batch has one length.
    """
    if all(module.include_prompt for module in model if isinstance(module, Pooling)):
        return 0
    lengths = {prompt_length(model, prompt) if prompt else 0 for prompt in prompts.values()}
    if len(lengths) > 1:
        raise DataError(
            "the prompts of the columns have different lengths, but the pooling of this model leaves out the prompt "
            "(include_prompt=False), which needs one length; use one prompt for all columns"
        )
    return lengths.pop()
