"""Collect the facts of a report: what it is of, when and where it was made, and how to repeat it."""

from collections.abc import Mapping
from typing import Any

from tercet._display import duration, numbers_text
from tercet.catalogue import metric_text, metric_title
from tercet.inspection.results import Inspection
from tercet.records import ComparisonRecord, RunRecord
from tercet.report.page import Code, Part
from tercet.report.page_table import Table

Facts = list[tuple[str, str]]


def run_facts(record: RunRecord) -> Facts:
    """Return names and values: data, model, loss, steps, date, duration, machine and versions."""
    settings, trained, run = record.settings, record.trained_with, record.run
    counts = None if record.protocol is None else record.evaluation[record.protocol].rows
    margin = "" if trained["margin"] is None else f", margin {numbers_text(trained['margin'])}"
    seconds = None if run.get("seconds") is None else duration(run["seconds"])
    since = f", since it was resumed from {run['resumed_from']}" if run.get("resumed_from") else ""
    of_head = " (of the linear head)" if record.keeps_encoder else ""
    facts = {
        **_data_facts(record),
        "Measured": None if counts is None else counts.describe(),
        "Model": settings.get("model"),
        "Loss": trained["loss"] and f"{trained['loss']}{margin}, {trained['distance']} distance{of_head}",
        "Steps": settings.get("steps"),
        "Started": run.get("started"),
        "Duration": seconds and f"{seconds}{since}",
        **_machine_facts(record.environment, record.tercet_version),
    }
    return [(name, str(value)) for name, value in facts.items() if value]


def comparison_facts(record: ComparisonRecord) -> Facts:
    """Return names and values: data, encoders, variants, seeds, budget, machine and versions."""
    models = [baseline.model for baseline in record.baselines if baseline.model is not None]
    facts = {
        **_data_facts(record),
        "Measured": None if record.rows is None else record.rows.describe(),
        "Model": _joined(*models),
        "Variants": len(record.summary),
        "Seeds": ", ".join(map(str, record.settings.get("seeds", ()))),
        "Budget of a run": record.budget,
        **_machine_facts(record.environment, record.environment.get("tercet")),
    }
    return [(name, str(value)) for name, value in facts.items() if value]


def repeat_parts(record: RunRecord | ComparisonRecord, command: str) -> list[Part]:
    """Return the parts of a page that say how to repeat a run: command, settings, machine and versions."""
    settings = [[name, _value(value)] for name, value in record.settings.items() if _is_set(name, value)]
    versions = {"tercet": record.tercet_version} if isinstance(record, RunRecord) else {}
    environment = {**versions, **record.environment}
    return [
        *([Code(command)] if command else []),
        Table("Settings", ["setting", "value"], settings),
        Table("Environment", ["", "value"], [[name, str(value)] for name, value in environment.items()]),
    ]


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
    return f"{metric_title(key)} {metric_text(key, before.get(key))} → {metric_text(key, after[key])}"


def _data_facts(record: RunRecord | ComparisonRecord) -> dict[str, Any]:
    settings = record.settings
    source = settings.get("eval_data")
    if source is None and settings.get("eval_split") is not None:
        source = f"the split {settings['eval_split']} of the data"
    elif source is None and settings.get("eval_fraction") is not None:
        source = f"held out, {settings['eval_fraction']:.0%} of the data"
    return {
        "Training data": _joined(settings.get("data"), _rows(record.data.get("train", {}))),
        "Evaluation data": _joined(source, _rows(record.data.get("eval", {}))),
    }


def _machine_facts(environment: Mapping[str, Any], tercet_version: str | None) -> dict[str, Any]:
    versions = {"Tercet": tercet_version} | {
        name: environment.get(name) for name in ("torch", "transformers", "python")
    }
    return {
        "Machine": _joined(*(environment.get(key) for key in ("device", "processor", "platform"))),
        "Versions": _joined(*(f"{name} {version}" for name, version in versions.items() if version)),
    }


def _is_set(name: str, value: object) -> bool:
    return value is not None and (name, value) != ("max_steps", -1)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return "; ".join(map(_value, value))
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_value(part)}" for name, part in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _rows(facts: Mapping[str, Any]) -> str | None:
    counts = [
        f"{facts[key]:,} {key}"
        for key in ("rows", "labels", "copies")
        if isinstance(facts.get(key), int) and facts[key]
    ]
    return ", ".join(counts) or None


def _joined(*parts: Any) -> str:
    return "; ".join(str(part) for part in parts if part)
