"""Judge the classifier of a training run, or one that is saved in the folder of a model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tercet._events import WarningKind, emit_warning
from tercet._files import expand_path
from tercet._files.model_files import CLASSIFIER_FILE, has_classifier
from tercet.errors import DataError
from tercet.records import SavedClassifierScores

if TYPE_CHECKING:
    from torch import Tensor

    from tercet.decisions import JudgedDecisions, LabelClassifier
    from tercet.decisions.judged_decisions import ChosenLimits
    from tercet.runs.classifier import RememberingEncoder
    from tercet.runs.evaluation import Evaluation
    from tercet.runs.results import TrainingRun


def check_decisions(decisions: object) -> None:
    """Raise `DataError` if the argument `decisions` of an evaluation has an unknown value."""
    if decisions not in (True, False, "if possible"):
        raise DataError(f"decisions must be True, False or 'if possible', got {decisions!r}")


def check_classifier(model: Any) -> None:
    """Raise `DataError` if `model` is not a folder with a classifier. It imports no torch."""
    if not isinstance(model, (str, Path)) or not has_classifier(expand_path(model)):
        name = f"{str(model)!r} has no {CLASSIFIER_FILE}" if isinstance(model, (str, Path)) else "model is no folder"
        raise DataError(
            f"decisions, min_precision and max_novelty need the folder of a model with a classifier, but {name}; fit "
            "one with tercet fit-classifier, or with LabelClassifier(model).fit(…).save(folder)"
        )


def warn_not_judged(reason: object) -> None:
    """Emit a warning that the decisions of a classifier are left out of an evaluation."""
    emit_warning(WarningKind.NOT_JUDGED, f"the decisions of the classifier are not judged: {reason}")


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A classifier that was read from a folder, and the limits at which to judge it.

    Attributes:
        classifier: the classifier, without its encoder.
        folder: its folder.
        limits: the limits of its answers.
    """

    classifier: "LabelClassifier"
    folder: Path
    limits: "ChosenLimits"

    @classmethod
    def read(cls, folder: Path, *, min_precision: float | None, max_novelty: float | Literal["auto"] | None) -> "Judge":
        """Read a classifier and choose the limits, see `tercet.decisions.judging.choose_limits`.

        Raises:
            DataError: a limit is invalid, or `min_precision` cannot be promised.
            ModelError: the files of the classifier are damaged.
        """
        from tercet.decisions import LabelClassifier
        from tercet.decisions.judging import choose_limits
        from tercet.decisions.storage import read

        classifier = read(LabelClassifier, folder)
        return cls(classifier=classifier, folder=folder, limits=choose_limits(classifier, min_precision, max_novelty))

    def judge(
        self, encoder: "RememberingEncoder", evaluation: "Evaluation", source: str, *, if_possible: bool = False
    ) -> "JudgedDecisions | None":
        """Return the decisions about the evaluation rows, and emit warnings if the promise does not hold for them.

        Args:
            encoder: the encoder in the folder, after it has embedded the evaluation rows first.
            evaluation: the evaluation rows.
            source: how messages name them.
            if_possible: return None, with a warning, if all rows are training sentences of the classifier.

        Raises:
            NoNewSentencesError: all rows are training sentences of the classifier, and `if_possible` is False.
            ModelError: the encoder is not the one that the classifier was fitted with.
        """
        from tercet.data.labels.numbering import label_values
        from tercet.decisions.judging import NoNewSentencesError, judge
        from tercet.decisions.storage import attach_encoder
        from tercet.runs.classifier import embedded_rows

        attach_encoder(self.classifier, self.folder, encoder.model)
        queries = evaluation.queries
        try:
            judged = judge(
                self.classifier,
                queries["sentence"][:],
                label_values(queries),
                limits=self.limits,
                embedded=embedded_rows(queries, encoder.calls[0], evaluation.query_rows),
                rows=evaluation.query_rows.tolist(),
                source=source,
            )
        except NoNewSentencesError as error:
            if not if_possible:
                raise
            warn_not_judged(error)
            return None
        _warn(judged)
        return judged


def judge_run(run: "TrainingRun") -> "JudgedDecisions | None":
    """Return the decisions of the classifier of a run; None if it has none. Emit warnings about them.

    Evaluation data of their own are new to the classifier, and are classified. Otherwise, the rows that gave the
    thresholds are taken, with the answers before they joined the gallery: held-out rows, or else those that chose the
    best state, or else out-of-fold predictions for the training rows.

    Args:
        run: the finished run.
    """
    from tercet.data.labels.numbering import label_values
    from tercet.decisions.judging import choose_limits, judge, judge_calibration

    if run.classifier is None:
        return None
    limits = choose_limits(run.classifier)
    held_out = run.record.data.get("eval", {}).get("held_out_rows")
    if run.eval_data is not None and held_out is None:
        embedded = None
        if run.embeddings is not None:  # Then nothing is encoded again.
            import numpy as np

            from tercet.runs.classifier import embedded_rows

            embedded = embedded_rows(run.eval_data, (run.embeddings[1], run.head_inputs), np.asarray(run.eval_rows))
        judged = judge(
            run.classifier, run.eval_data["sentence"][:], label_values(run.eval_data), limits=limits,
            embedded=embedded, rows=run.eval_rows, source="the evaluation rows", leave_out_copies=False,
        )  # fmt: skip
        _warn(judged)
        return judged
    sentences = None
    if run.eval_data is not None and run.eval_rows is not None:
        sentences = dict(zip(run.eval_rows, run.eval_data["sentence"][:], strict=True))
    judged = judge_calibration(run.classifier, limits=limits, sentences=sentences)
    source = "the training rows"
    if judged.basis == "held out":
        source = "the held-out rows" if set(judged.rows.tolist()) <= set(held_out or ()) else "the validation rows"
    return replace(judged, source=source)


def saved_scores(
    classifier: "LabelClassifier",
    evaluation: "Evaluation",
    queries: "tuple[Tensor, Tensor | None]",
    held_out_rows: Sequence[int] | None,
    *,
    num_rows: int,
) -> SavedClassifierScores | None:
    """Return the scores of the classifier of a run on the evaluation rows with a known label.

    Rows of their own are new to the classifier, and are classified. Held-out rows have joined it, so the answers are
    those before. None is returned if it has not judged all of them.

    Args:
        classifier: the fitted classifier.
        evaluation: the evaluation rows.
        queries: their embeddings, a call of `RememberingEncoder`.
        held_out_rows: the number of each evaluation row in the file of the training rows; None for rows of their own.
        num_rows: the number of rows with a known label.
    """
    import numpy as np

    from tercet.data.labels.numbering import label_values
    from tercet.decisions.judging import held_out_predictions
    from tercet.evaluation.label_scores import label_scores
    from tercet.runs.classifier import embedded_rows

    if held_out_rows is not None:
        found = held_out_predictions(classifier, held_out_rows, num_rows)
        if found is None:
            return None
        given, predicted = found
    else:
        number = {str(label): at for at, label in enumerate(classifier.classes_.tolist())}
        labels = [str(label) for label in label_values(evaluation.queries)]
        rows = [row for row, label in enumerate(labels) if label in number]
        if len(rows) != num_rows:
            return None
        embedded = embedded_rows(evaluation.queries, queries, evaluation.query_rows).select(rows)
        given = np.array([number[labels[row]] for row in rows])
        predicted = np.array([number[str(label)] for label in classifier.predict(embedded)])
    return SavedClassifierScores(
        members=classifier.members_,
        accuracy=float((given == predicted).mean()),
        macro_f1=float(label_scores(given, predicted).f1.mean()),
        chosen_on_rows=held_out_rows is not None,
    )


def _warn(judged: "JudgedDecisions") -> None:
    if judged.unfamiliar:
        emit_warning(WarningKind.UNFAMILIAR_DATA, judged.warnings[0])
    if judged.breaks_promise:
        emit_warning(WarningKind.BELOW_PROMISE, judged.shortfall)
