"""The identity of a run, which its checkpoints store: a run is resumed only with the same settings, data and model.

Values that do not decide the result, such as intervals of checkpoints and logs, are not part of it; see
`tercet.trainer.argument_checks.rules`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from tercet.data.fingerprint import digest_rows
from tercet.data.tables.dataset_columns import texts_of
from tercet.errors import DataError, shortened
from tercet.losses import NestedTripletLoss
from tercet.trainer.argument_checks.rules import RESULT
from tercet.trainer.arguments import SentenceTransformerTrainingArguments, default_values
from tercet.trainer.loss.kinds import innermost, loss_setting_defaults, loss_settings, set_losses

# The name of an argument that holds a digest, which no message shows.
_DIGEST_OF_PATHS = "paths_sha256"
_NUMBERS_OF_STEPS = {"epochs", "max_steps", "num_train_epochs"}


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """The inputs that decide the result of a run.

    Attributes:
        arguments: the training arguments and the loss.
        settings: the settings of a run of `tercet.runs`, which are then compared instead of `arguments`.
        data: for the training and the evaluation data, the number of rows and a digest of the rows in their order.
        model: a digest of the start weights; empty if it is not compared.
        processes: the number of processes, which is not compared.
        argument_defaults: the defaults of `arguments`. Checkpoints do not store them.
        setting_defaults: the defaults of `settings`. Checkpoints do not store them.
    """

    arguments: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    processes: int = 1
    argument_defaults: dict[str, Any] = field(default_factory=dict)
    setting_defaults: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the identity as JSON values."""
        content = {name: value for name, value in asdict(self).items() if not name.endswith("_defaults")}
        return _as_json(content)


def check_same_run(checkpoint: Path, written: Mapping[str, Any], now: RunIdentity) -> None:
    """Check that the checkpoint is one of this run.

    Args:
        checkpoint: the path of the checkpoint.
        written: the identity that the checkpoint stores.
        now: the identity of the run that is to be resumed.

    Raises:
        DataError: settings, data or the start model differ; the message lists them.
    """
    defaults = {"settings": now.setting_defaults, "arguments": now.argument_defaults}
    found = list(_differences(written, now.to_dict(), _as_json(defaults)))
    if not found:
        return
    names = {name for name, _ in found}
    extended = "; the learning-rate schedule is fitted to the number of steps, so a run cannot be extended"
    raise DataError(
        f"{checkpoint} is a checkpoint of another run: {'; '.join(text for _, text in found)}"
        f"{extended if names & _NUMBERS_OF_STEPS else ''}; pass the same arguments, data and model to resume that run, "
        f"or remove the checkpoints in {checkpoint.parent} to start a new one"
    )


def _as_json(content: dict[str, Any]) -> dict[str, Any]:
    converted: dict[str, Any] = json.loads(json.dumps(content, default=str))
    return converted


def _differences(
    written: Mapping[str, Any], now: Mapping[str, Any], defaults: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """Yield the name and a description of each difference."""
    part = "settings" if written.get("settings") and now["settings"] else "arguments"
    new = dict(_flat(now[part]))
    # An earlier version did not have the names that its checkpoint lacks. Its runs were those with the defaults.
    missing = {name: value for name, value in _flat(defaults[part]) if name in new}
    old = {**missing, **dict(_flat(written.get(part) or {}))}
    for name in {**old, **new}:
        if old.get(name) != new.get(name):
            was, is_now = (shortened(str(found.get(name)), 60) for found in (old, new))
            is_digest = name == _DIGEST_OF_PATHS
            yield name, "the nested labels differ" if is_digest else f"{name} was {was}, now it is {is_now}"
    titles = {"train": "training data", "eval": "evaluation data"}
    for name in {**titles, **(written.get("data") or {}), **now["data"]}:
        title = titles.get(name, f"data set {name.removeprefix('train ')!r}")
        was, is_now = (content["data"].get(name) for content in ({"data": {}, **written}, now))
        if was is None or is_now is None or was["sha256"] == is_now["sha256"]:
            continue
        rows = (
            f"{was['rows']} rows then, {is_now['rows']} now"
            if was["rows"] != is_now["rows"]
            else "texts, labels or the order of the rows"
        )
        yield name, f"the {title} differ ({rows})"
    if written.get("model") and now["model"] and written["model"] != now["model"]:
        yield "model", "the start model differs"


def _flat(settings: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Yield names and values, those in a dictionary as `first.margin`, so that a message names what differs."""
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{within}{name}.")
        else:
            yield within + name, value


def arguments_of(args: Any, loss: nn.Module) -> dict[str, Any]:
    """Return the training arguments that decide the result, and the loss with its settings."""
    arguments = {name: getattr(value := getattr(args, name), "value", value) for name in sorted(RESULT)}
    arguments = {name: getattr(value, "__qualname__", value) for name, value in arguments.items()}
    # The number of processes may change if the batch of all of them together does not.
    arguments["per_device_train_batch_size"] *= args.world_size
    return {**arguments, "loss": type(loss).__name__, **loss_settings(loss), **_digest_of_paths(loss)}


def argument_defaults(loss: nn.Module) -> dict[str, Any]:
    """Return the defaults of the training arguments and of the arguments of the loss.

    The paths of nested labels have no default; a checkpoint of an earlier version, which lacks them, fits any.
    """
    defaults = default_values(SentenceTransformerTrainingArguments)
    return {**defaults, **loss_setting_defaults(loss), **_digest_of_paths(loss)}


def _digest_of_paths(loss: nn.Module) -> dict[str, str]:
    """Return a digest of the paths of nested labels; `{}` if there are none.

    Integer labels have no names in the digest of the data. The paths themselves may be thousands.
    """
    nested = [one for one in map(innermost, set_losses(loss)) if isinstance(one, NestedTripletLoss)]
    paths = [[str(level) for level in path] for one in nested for path in one.tree.paths]
    return {_DIGEST_OF_PATHS: digest_rows([paths])[:12]} if nested else {}


def data_identity(dataset: Any, label_names: list[str] | None = None) -> dict[str, Any]:
    """Return the number of rows, and a SHA-256 digest of the texts and labels in their order."""
    columns = [texts_of(dataset, name) for name in sorted(dataset.column_names)]
    digest = digest_rows(columns, json.dumps(label_names).encode())
    return {"rows": len(dataset), "sha256": digest}
