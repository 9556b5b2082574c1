"""Records of a training run: `metrics.json`, and the part of `tercet.json` that the model card shows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tercet._tree_errors import ParentErrors
from tercet._version import __version__
from tercet.records.classifier import ClassifierRecord
from tercet.records.evaluation import EvaluationRecord, Metrics, evaluation_of
from tercet.records.gain import TrainingGain
from tercet.records.reading import RENAMED_SETTINGS, finite, known_fields, renamed, typed_warnings
from tercet.records.several_labels import SeveralLabelsGain, any_gain_of

# If a field is renamed or changes its meaning, increase the version and extend the conversion in `from_dict`.
RUN_FORMAT_VERSION = 3


class _Evaluated:
    """The headline of a record with the field `evaluation`: the metrics by its first protocol."""

    evaluation: dict[str, EvaluationRecord]
    settings: dict[str, Any]

    @property
    def protocol(self) -> str | None:
        """The protocol of the headline, the first in `evaluation`; None if the model was not evaluated."""
        return next(iter(self.evaluation), None)

    @property
    def before(self) -> Metrics | None:
        """The metrics before training, by the protocol of the headline; None if the model was not evaluated."""
        return None if self.protocol is None else self.evaluation[self.protocol].before

    @property
    def after(self) -> Metrics | None:
        """The metrics of the saved model, by the protocol of the headline; None if the model was not evaluated."""
        return None if self.protocol is None else self.evaluation[self.protocol].after

    @property
    def gain_missing_reason(self) -> str:
        """The reason why it is unknown whether the training was worth it, for a record without `gain`."""
        reasons = {
            None: "nothing was held out for evaluation",
            "triplets": "triplets have no labels to classify",
            "among_themselves": "no label of the evaluation data is in the training data",
        }
        if self.protocol == "against_reference" and self.settings.get("multi_label") is not None:
            return "rows have several labels, and the record has no predictions of them"
        return reasons.get(self.protocol, "the record does not contain it")


@dataclass(kw_only=True)
class RunRecord(_Evaluated):
    """The content of `metrics.json`. Its properties `before` and `after` are the metrics of the headline.

    Attributes:
        evaluation: the metrics before and after training, by protocol (see `tercet.catalogue.PROTOCOLS`), the headline
            first: `against_reference`, then `among_themselves`; `triplets` for triplets. Empty if the model was not
            evaluated.
        gain: whether the training was worth it; None if no evaluation row could be classified by training rows. A
            `SeveralLabelsGain` if rows have several labels.
        by_step: the metrics of each evaluation during training, by step. They are measured `among_themselves`, or on
            `triplets`.
        by_dimension: the metrics `against_reference` by the dimension of the vectors after a linear head, the largest
            first; empty unless a smaller dimension was asked for vectors.
        settings: the settings of the run by name, and the names of its data and its model. If a head alone was trained,
            `epochs`, `learning_rate` and `margin` are null, and `choices` has those of the head.
        data: facts about the rows of `train` and `eval`: the number of `rows`, `labels` and `copies` (rows that repeat
            an earlier text), the `sha256` of all texts and labels, the number of `truncated_texts` (those with more
            tokens than `max_seq_length`), and the fraction of `unknown_tokens`. Of large training data, the last two
            are those of a random part with `tokenized_texts` texts. `eval` has them of the measured rows (of the first
            process, if there are several). `eval` also has `held_out_rows`, the numbers of the rows of the training
            file that were held out, from 0; null if there was a file for evaluation.
        choices: what the run chose and why: `head`, the settings of the linear head, null if there is none;
            `head_scores` of the candidates in cross-validation; the `reason` in a sentence; whether the encoder was
            trained (`trained_encoder`); the `time_limit`, if one was given (if the encoder was trained, `settings` has
            the number of steps instead); and `validation`, if the best state was chosen: the numbers of the `rows` of
            the training file that chose it, MAP@R by step, and `best_step`.
        classifier: how the classifier that is saved with the model was chosen, and what it promises; None without one.
        parents: for nested labels, the wrong predictions within and across the parents of each level, by the best
            classifier of `gain`; None for other labels.
        warnings: the warnings of the run, each with a `kind` (see `tercet._events.WarningKind`) and a `message`.
        run: the time of the start `started` (UTC), the `seconds` of the run with its evaluations and with loading, and
            those of its `parts`, the two evaluations together. Two runs with the same seed on the same machine differ
            only here. If the run was stopped and resumed, they count from the resumption, and `resumed_from` names the
            checkpoint.
        environment: the device that was used, the machine and the versions of the libraries.
        tercet_version: the version of Tercet that trained the model.
        format_version: the format version of the file.
    """

    evaluation: dict[str, EvaluationRecord] = field(default_factory=dict)
    gain: TrainingGain | SeveralLabelsGain | None = None
    by_step: dict[str, Metrics] = field(default_factory=dict)
    by_dimension: dict[str, Metrics] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)
    classifier: ClassifierRecord | None = None
    parents: list[ParentErrors] | None = None
    warnings: list[dict[str, str]] = field(default_factory=list)
    run: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    tercet_version: str = __version__
    format_version: int = RUN_FORMAT_VERSION

    @property
    def keeps_encoder(self) -> bool:
        """True if the encoder is as it was before: it was not trained, or the best state was that before training."""
        best_step = self.choices.get("validation", {}).get("best_step")
        return self.choices.get("trained_encoder") is False or best_step == 0

    @property
    def trained_with(self) -> dict[str, Any]:
        """The `loss`, `margin`, `distance` and `label_levels` of the training; those of the head if it alone changed.

        Loss and margin are None if nothing was trained. The head has one margin, that of the finest level.
        """
        if not self.keeps_encoder:
            return {name: self.settings.get(name) for name in ("loss", "margin", "distance", "label_levels")}
        head = self.choices.get("head")
        if head is None:
            return {"loss": None, "margin": None, "distance": self.settings.get("distance"), "label_levels": None}
        return {"loss": "batch-semi-hard", "margin": head["margin"], "distance": "euclidean", "label_levels": None}

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        content: dict[str, Any] = finite(asdict(self))
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "RunRecord":
        """Return the record in the content of a `metrics.json`, converted from an older format if necessary.

        Raises:
            AttributeError, TypeError: `content` is not the content of a `metrics.json`.
        """
        known = known_fields(cls, content)
        version = content.get("format_version", 1)
        if version == 1:
            known["settings"] = renamed(known.get("settings") or {}, RENAMED_SETTINGS)
            known["warnings"] = typed_warnings(known.get("warnings", []))
        known |= {"evaluation": evaluation_of(content), "gain": any_gain_of(content)}
        if known.get("classifier") is not None:
            known["classifier"] = ClassifierRecord(**known_fields(ClassifierRecord, known["classifier"]))
        if known.get("parents") is not None:
            known["parents"] = [ParentErrors(**known_fields(ParentErrors, part)) for part in known["parents"]]
        known["format_version"] = max(version, RUN_FORMAT_VERSION)
        return cls(**known)


@dataclass(kw_only=True)
class TrainingRecord(_Evaluated):
    """The record of a training run that the model card shows. It is saved in the model's `tercet.json`.

    Its properties `before` and `after` are the metrics of the headline.

    Attributes:
        loss: the class name of the loss; "" if none trained the weights, because those before the training were better.
        loss_settings: the distance and the margin, by their titles in the model card.
        data: facts about the training data, such as the number of sentences, by their titles.
        settings: the settings of the trainer, by their titles.
        evaluation: the metrics before and after training, by protocol, as in `RunRecord`.
        gain: whether the training was worth it, as in `RunRecord`.
        text_hashes: hashes of all texts that the model has been trained on, see `tercet.data.splits.trained_texts`;
            None if they are not known.
    """

    loss: str
    loss_settings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, EvaluationRecord] = field(default_factory=dict)
    gain: TrainingGain | SeveralLabelsGain | None = None
    text_hashes: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TrainingRecord":
        """Return the record in the content of a `tercet.json`. Ignore unknown fields."""
        return cls(**{**known_fields(cls, content), "evaluation": evaluation_of(content), "gain": any_gain_of(content)})
