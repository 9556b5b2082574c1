"""Names and titles of entries, for tables and plots."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tercet.catalogue.entries import CLASSIFIERS, DISTANCES, LOSSES, METRICS, PROTOCOLS
from tercet.catalogue.registry import resolve
from tercet.catalogue.specs import MetricSpec

if TYPE_CHECKING:
    from tercet.records import EncoderScores, SeveralLabelsGain, SeveralLabelsScores, TrainingGain


def loss_name(loss: object) -> str | None:
    """Return the catalogue name of a loss object, or None if its class is not in the catalogue."""
    return next((name for name, spec in LOSSES.items() if type(loss) is resolve(spec.cls)), None)


def metric_spec(key: str) -> MetricSpec:
    """Return the spec of a metric. A metric that is not registered gets a default spec.

    If `<distance>` is in the catalogue, the title of `<distance>_accuracy`, such as `cosine_accuracy`, is "triplet
    accuracy (cosine)". The title of any other unregistered metric is its key.
    """
    if key in METRICS:
        return METRICS[key]
    if level := key.partition("map@r_level")[2]:
        return MetricSpec(key=key, title=f"MAP@R, level {level}")
    distance = key.removesuffix("_accuracy")
    return MetricSpec(key=key, title=f"triplet accuracy ({distance})" if distance in DISTANCES else key)


def metric_title(key: str) -> str:
    """Return the title of a metric."""
    return metric_spec(key).title


def metrics_of_levels(measured: Iterable[str]) -> list[str]:
    """Return the keys of the metrics of nested labels among measured ones, each once: by level, then in the tree."""
    keys = dict.fromkeys(measured)
    in_tree = [key for key in ("tree_distance", "ndcg@10") if key in keys]
    return [*(key for key in keys if key.startswith("map@r_level")), *in_tree]


def metric_digits(key: str) -> int:
    """Return the number of decimals with which tables show a metric."""
    return metric_spec(key).digits


def metric_text(key: str, value: float | None, *, sign: bool = False) -> str:
    """Return the value of a metric for a table; "–" for None and NaN, which stand for a metric that has no value.

    Args:
        key: the metric.
        value: its value, or with `sign` a change of it.
        sign: whether to write the sign of positive numbers.
    """
    if value is None or math.isnan(value):
        return "–"
    return f"{value:{'+' if sign else ''}z.{metric_digits(key)}f}"  # "z": a change that is rounded to 0 has no minus.


def protocol_title(key: str, reference: str = "training") -> str:
    """Return the title of a protocol, for tables; `reference` names the sentences that are ranked."""
    return PROTOCOLS.get(key, key).format(reference=reference)


def classifier_rows(scores: "EncoderScores | SeveralLabelsScores") -> dict[str, float]:
    """Return the scores of an encoder by their titles, such as `accuracy, class means`, as the rows of a table."""
    if hasattr(scores, "by_title"):
        return scores.by_title()
    found = scores.classifiers.items()
    return {
        **{f"accuracy, {CLASSIFIERS.get(key, key)}": scores.accuracy for key, scores in found},
        **{f"macro-F1, {CLASSIFIERS.get(key, key)}": scores.macro_f1 for key, scores in found},
        "MAP@R": scores.map_at_r,
    }


def gain_rows(gain: "TrainingGain | SeveralLabelsGain") -> dict[str, tuple[float | None, float]]:
    """Return the scores of the untouched and the trained encoder by their titles, as the rows of a table.

    The saved classifier exists for the trained encoder only.
    """
    before, after = classifier_rows(gain.untouched), classifier_rows(gain.trained)
    rows: dict[str, tuple[float | None, float]] = {key: (before[key], after[key]) for key in after if key in before}
    saved = getattr(gain, "saved", None)
    if saved is not None:
        rows["accuracy, saved classifier"] = None, saved.accuracy
        rows["macro-F1, saved classifier"] = None, saved.macro_f1
    return rows
