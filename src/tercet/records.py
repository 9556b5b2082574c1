"""What a run writes about itself, as dataclasses with a format version: `metrics.json` and the training record.

    metrics.json     RunRecord, written by `tercet train`, read by the report
    tercet.json      holds a TrainingRecord, shown in the model card

Records written by older versions can be read for ever: `from_dict` converts them. The first format had no version
field. Values are JSON values: numbers, strings, lists, dictionaries and None.
"""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tercet._version import __version__

# Increase it when a field is renamed or changes its meaning, and extend the conversion below.
FORMAT_VERSION = 2

# Fields of format 1 that have another name in format 2.
_RENAMED_SETTINGS = {"memory_size": "cross_batch_memory"}


@dataclass(kw_only=True)
class RunRecord:
    """The content of `metrics.json`.

    Attributes:
        before: metrics of the model before training; None if nothing was measured.
        after: metrics of the saved model.
        by_step: metrics of the evaluations during training, by step.
        settings: the options of the run by name, its data and its model.
        warnings: what the user was warned of, each with a `kind` (see `tercet._events.WarningKind`) and a `message`.
        tercet_version: the version that trained the model.
        format_version: of the file.
    """

    before: dict[str, float] | None
    after: dict[str, float] | None
    by_step: dict[str, dict[str, float]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    warnings: list[dict[str, str]] = field(default_factory=list)
    tercet_version: str = __version__
    format_version: int = FORMAT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "RunRecord":
        """Return the record of a `metrics.json`, converted from an older format if necessary."""
        known = {key: value for key, value in content.items() if key in _field_names(cls)}
        if content.get("format_version", 1) == 1:
            settings = known.get("settings") or {}
            known["settings"] = {_RENAMED_SETTINGS.get(name, name): value for name, value in settings.items()}
            known["warnings"] = [{"kind": "other", "message": text} for text in known.get("warnings", [])]
            known["format_version"] = FORMAT_VERSION
        return cls(**known)


@dataclass(kw_only=True)
class TrainingRecord:
    """How a model was trained, as its card shows it; saved in the model's `tercet.json`.

    Attributes:
        loss: the class name of the loss.
        loss_settings: distance and margin, by the names that the card shows.
        data: facts about the training data.
        settings: settings of the trainer.
        before: metrics before training; None if nothing was measured.
        after: metrics of the saved model.
    """

    loss: str
    loss_settings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    before: dict[str, float] | None = None
    after: dict[str, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "TrainingRecord":
        """Return the record that a model directory holds."""
        return cls(**{key: value for key, value in content.items() if key in _field_names(cls)})


def _field_names(record: type) -> set[str]:
    return {item.name for item in fields(record)}
