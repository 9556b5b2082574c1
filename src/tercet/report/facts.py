"""Collect the facts for the header of a report: what it is of, when and where it was made."""

from collections.abc import Mapping
from typing import Any

from tercet._display import duration
from tercet.catalogue import metric_digits, metric_title
from tercet.inspection.results import Inspection
from tercet.records import RunRecord

Facts = list[tuple[str, str]]


def run_facts(record: RunRecord) -> Facts:
    """Return names and values: data, model, loss, steps, date, duration, machine and versions."""
    settings = record.settings
    run, environment = record.run, record.environment
    train, evaluated = _rows(record.data.get("train", {})), _rows(record.data.get("eval", {}))
    versions = {"Tercet": record.tercet_version} | {
        name: environment.get(name) for name in ("torch", "transformers", "python")
    }
    counts = None if record.protocol is None else record.evaluation[record.protocol].rows
    source = settings.get("eval_data")
    if source is None and settings.get("eval_fraction") is not None:
        source = f"held out, {settings['eval_fraction']:.0%} of the data"
    margin = "" if settings.get("margin") is None else f", margin {settings['margin']:g}"
    facts = {
        "Training data": _joined(settings.get("data"), train),
        "Evaluation data": _joined(source, evaluated),
        "Measured": None if counts is None else counts.describe(),
        "Model": settings.get("model"),
        "Loss": f"{settings.get('loss')}{margin}, {settings.get('distance')} distance",
        "Steps": settings.get("steps"),
        "Started": run.get("started"),
        "Duration": None if run.get("seconds") is None else duration(run["seconds"]),
        "Machine": _joined(*(environment.get(key) for key in ("device", "processor", "platform"))),
        "Versions": _joined(*(f"{name} {version}" for name, version in versions.items() if version)),
    }
    return [(name, str(value)) for name, value in facts.items() if value]


def inspection_facts(inspection: Inspection) -> Facts:
    """Return names and values: data, rows, labels, copies and the model."""
    texts = inspection.texts
    facts = [
        ("Data", inspection.source),
        ("Rows", f"{texts.rows:,}"),
        ("Labels", f"{texts.labels.count:,}"),
        ("Duplicates under the same label", f"{len(texts.duplicates):,}"),
        ("Texts under several labels", f"{len(texts.contradictions):,}"),
        ("Empty texts", f"{len(texts.empty):,}"),
    ]
    return facts if inspection.with_model is None else [*facts, ("Model", inspection.with_model.model)]


def headline(record: RunRecord) -> str:
    """Return the most important metric before and after training, such as `MAP@R 0.25 → 0.50`; "" without one."""
    before, after = record.before, record.after
    if not before or not after:
        return ""
    key = "map@r" if "map@r" in after else next(iter(after))
    digits = metric_digits(key)
    return f"{metric_title(key)} {before[key]:.{digits}f} → {after[key]:.{digits}f}"


def _rows(facts: Mapping[str, Any]) -> str | None:
    counts = [
        f"{facts[key]:,} {key}"
        for key in ("rows", "labels", "copies")
        if isinstance(facts.get(key), int) and facts[key]
    ]
    return ", ".join(counts) or None


def _joined(*parts: Any) -> str:
    return "; ".join(str(part) for part in parts if part)
