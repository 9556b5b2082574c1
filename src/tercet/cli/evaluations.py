"""Print the metrics of a model, one table for each protocol."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tercet._tree_errors import ParentErrors, describe_accuracy, most_errors
from tercet.catalogue import classifier_rows, gain_rows, protocol_title
from tercet.cli.console import cell, print_metrics, print_result, terminal
from tercet.records import EvaluationRecord, RunRecord, SeveralLabelsGain, TrainingGain
from tercet.runs import EvaluationResult

if TYPE_CHECKING:
    from tercet.decisions import JudgedDecisions


_MAX_PARENTS = 20


def print_evaluation(record: RunRecord) -> None:
    """Print the metrics before and after training by each protocol, the headline first."""
    for protocol, evaluation in record.evaluation.items():
        print_metrics(sentence_case(protocol_title(protocol)), before_after_change(evaluation))
        if evaluation.rows is not None:
            print_result(evaluation.rows.describe())
    if record.gain is None:
        print_result(f"Was it worth it? Unknown, because {record.gain_missing_reason}.")
    else:
        print_gain(record.gain)
    print_parents(record.parents)


def print_parents(parents: Sequence[ParentErrors] | None) -> None:
    """Print the errors within and across parents of nested labels; nothing for other labels."""
    if parents is None:
        return
    from rich.table import Table

    shown = most_errors(parents, _MAX_PARENTS)
    which = "" if len(shown) == len(parents) else f", the {len(shown)} of {len(parents):,} parents with the most errors"
    table = Table(title=f"Errors of the best classifier within and across parents{which}", title_justify="left")
    for name in ("parent", "labels", "sentences", "within", "across", "most often"):
        table.add_column(name, justify="left" if name in ("parent", "most often") else "right", overflow="fold")
    for one in shown:
        numbers = (f"{number:,}" for number in (one.labels, one.sentences, one.within, one.across))
        table.add_row(cell(one.parent), *numbers, cell(one.most_often or "–"))
    terminal().print(table)
    print_result(f"{describe_accuracy(parents)}.")


def print_gain(gain: TrainingGain | SeveralLabelsGain) -> None:
    """Print the scores of the classifiers for both encoders, whether training was worth it, and what the limits are."""
    rows = gain_rows(gain)
    columns: dict[str, dict[str, Any]] = {
        "untouched": {key: before for key, (before, _) in rows.items()},
        "trained": {key: after for key, (_, after) in rows.items()},
        "change": {key: None if before is None else after - before for key, (before, after) in rows.items()},
    }
    print_metrics(gain.title, columns)
    print_result(gain.sentence)
    print_result(gain.note)


def print_result_of_evaluation(result: EvaluationResult, data: str, reference: str | None, model: str) -> None:
    """Print the metrics of a model."""
    title = protocol_title(result.protocol, "reference")
    print_metrics(
        sentence_case(f"{title}: {data}" + (f" against {reference}" if reference else "")), {model: result.metrics}
    )
    print_result(result.rows.describe(reference or "the reference data"))
    if result.gain is not None:
        print_gain(result.gain)
    elif result.classifiers is not None:
        title = f"{result.rows.measured:,} evaluation sentences, classified by the reference sentences"
        print_metrics(title, {model: classifier_rows(result.classifiers)})
    print_parents(result.parents)
    if result.decisions is not None:
        print_decisions(result.decisions)


def print_decisions(judged: "JudgedDecisions") -> None:
    """Print what the classifier of a model promises, and how right its answers are."""
    promise, note = judged.limits.promise, judged.limits.note
    if note:
        print_result(f"{sentence_case(note)}.")
    if promise is not None:
        print_result(f"The promise of the classifier: {promise.describe()}.")
    print_result(f"{sentence_case(judged.describe())}.")


def print_choices(record: RunRecord) -> None:
    """Print what a training run chose and why."""
    choices = record.choices
    if reason := choices.get("reason"):
        print_result(f"Chosen: {reason}")
    if validation := choices.get("validation"):
        best, by_step = validation["best_step"], validation["map@r_by_step"]
        state = f"after step {best:,}" if best else "before its training"
        print_result(
            f"Kept: the encoder {state}, with the highest MAP@R of {len(validation['rows']):,} validation rows: "
            + ", ".join(f"{score:.3f} (step {int(step):,})" for step, score in by_step.items())
        )
    elif reason and not choices["trained_encoder"]:
        print_result("The encoder was not trained.")


def print_classifier(record: RunRecord) -> None:
    """Print which classifier a run has saved with the model, and what it promises."""
    if record.classifier is not None:
        for line in record.classifier.describe():
            print_result(line)


def before_after_change(evaluation: EvaluationRecord) -> dict[str, dict[str, float]]:
    """Return the columns of a table: the metrics before and after training, and the change."""
    before, after = evaluation.before or {}, evaluation.after or {}
    return {"before": before, "after": after, "change": {key: after[key] - before[key] for key in after}}


def sentence_case(text: str) -> str:
    """Return the text with a capital letter at the start."""
    return text[0].upper() + text[1:]
