"""Create the text of the model card, the README.md of a model directory: model, training, metrics and labels."""

import json
import re
from typing import Any

from tercet._display import one_line
from tercet.catalogue import gain_rows, metric_text, metric_title, protocol_title
from tercet.encoder.card_data import ModelCardData
from tercet.encoder.storage import ModelSettings
from tercet.records import SeveralLabelsGain, TrainingGain, TrainingRecord

# Words that YAML does not read as text.
_YAML_WORDS = ("true", "false", "null", "yes", "no", "on", "off")
# Maximum number of label names in the card. A longer list would make the card hard to read.
_MAX_LABELS = 200


def model_card(
    settings: ModelSettings,
    data: ModelCardData | None = None,
    *,
    base_model: str | None,
    dimension: int,
    max_seq_length: int | None,
) -> str:
    """Return the model card as Markdown, with the YAML front matter that the hub reads.

    Args:
        data: what the user states, and metrics of evaluators.
        base_model: name of the model that was fine-tuned; None if it is unknown.
        dimension: dimension of an embedding.
        max_seq_length: maximum number of tokens of a sentence; None if there is no limit.
    """
    data = data or ModelCardData()
    training, label_names = settings.training_record, settings.label_names
    parts = [
        _front_matter(base_model, training, data),
        f"# {one_line(data.model_name or '') or _title(training)}\n",
    ]
    parts.append(
        f"It maps a sentence to a vector of {dimension} numbers. Similar sentences have similar vectors.\n"
        "sentence-transformers can load this folder, too.\n"
    )
    parts.append(
        "```python\n"
        "from tercet import SentenceTransformer\n\n"
        f"model = SentenceTransformer({json.dumps(data.model_id or 'path/to/this/folder')})\n"
        'embeddings = model.encode(["a sentence", "another one"])\n'
        "print(model.similarity(embeddings, embeddings))\n"
        "```\n"
    )
    parts.append("## Model\n")
    parts.append(
        _bullets(
            {
                "Base model": base_model,
                "Embedding dimension": dimension,
                "Maximum sequence length": f"{max_seq_length} tokens" if max_seq_length else None,
                "Similarity": settings.similarity_fn_name,
                **data.facts(),
            }
        )
    )
    if training:
        parts += _training(training)
    for name, metrics in data.evaluations.items():
        rows = [f"| {_code(key)} | {_metric(value)} |" for key, value in metrics.items()]
        parts += [f"## Evaluation with {_code(name)}\n", "\n".join(["| metric | value |", "|---|---|", *rows]) + "\n"]
    if label_names:
        num_hidden = len(label_names) - _MAX_LABELS
        shown = ", ".join(_code(name) for name in label_names[:_MAX_LABELS])
        parts += ["## Labels\n", shown + (f" and {num_hidden} more" if num_hidden > 0 else "") + "\n"]
    return "\n".join(parts)


def _training(training: TrainingRecord) -> list[str]:
    loss = {"Loss": training.loss} if training.loss else {}  # "" if no weight was changed
    parts = ["## Training\n", _bullets({**loss, **training.loss_settings, **training.data})]
    if training.settings:
        parts += ["## Settings\n", _bullets(training.settings)]
    parts.append("## Evaluation\n")
    if not training.evaluation:
        return [*parts, "The model was not evaluated.\n"]
    for protocol, evaluation in training.evaluation.items():
        before, after = evaluation.before or {}, evaluation.after or {}
        title = protocol_title(protocol)
        rows = "" if evaluation.rows is None else f" ({evaluation.rows.describe()})"
        table = ["| metric | before | after |", "|---|---|---|"]
        table += [
            f"| {metric_title(key)} | {_number(before.get(key), key)} | {_number(after.get(key), key)} |"
            for key in {**before, **after}
        ]
        parts += [f"{title[0].upper()}{title[1:]}{rows}:\n", "\n".join(table) + "\n"]
    return parts + (_gain(training.gain) if training.gain else [])


def _gain(gain: TrainingGain | SeveralLabelsGain) -> list[str]:
    """Return whether the training was worth it, with the scores of the classifiers."""
    table = ["| metric | untouched | trained |", "|---|---|---|"]
    table += [
        f"| {key} | {_number(before, key)} | {_number(after, key)} |"
        for key, (before, after) in gain_rows(gain).items()
    ]
    facts = f"{gain.rows:,} evaluation sentences, classified by the training sentences:\n"
    return ["### Was it worth it?\n", f"{gain.sentence}\n", facts, "\n".join(table) + "\n", f"{gain.note}\n"]


def _title(training: TrainingRecord | None) -> str:
    return f"A sentence-embedding model{' trained with Tercet' if training and training.loss else ''}"


def _front_matter(base_model: str | None, training: TrainingRecord | None, data: ModelCardData) -> str:
    entries = {"library_name": "sentence-transformers", "pipeline_tag": "sentence-similarity", **data.front_matter()}
    if training and training.loss:
        entries["tags"] = [*entries["tags"], f"loss:{training.loss}"]
    if base_model and base_model.count("/") == 1:
        entries["base_model"] = base_model
    lines = ["---"]
    for name, value in entries.items():
        if isinstance(value, list):
            lines += [f"{name}:", *(f"- {_yaml(item)}" for item in value)]
        elif value is not None:
            lines.append(f"{name}: {_yaml(value)}")
    return "\n".join([*lines, "---", ""])


def _yaml(text: str) -> str:
    """Return a text as YAML: plain if it is one word, else quoted."""
    return text if re.fullmatch(r"[a-z][a-z-]*", text) and text not in _YAML_WORDS else json.dumps(text)


def _bullets(facts: dict[str, Any]) -> str:
    lines = [f"- {name}: {_code(value)}" for name, value in facts.items() if value is not None]
    return "\n".join(lines) + "\n"


def _code(value: object) -> str:
    """Return a value as Markdown code on one printable line; backticks in it become single quotes.

    Markdown does not interpret the text of code. Unprintable characters would act on a terminal that shows the card.
    """
    text = one_line(str(value)).replace("`", "'")
    return f"`{text or ' '}`"


def _number(value: object, metric: str) -> str:
    return metric_text(metric, value) if value is None or isinstance(value, float) else str(value)


def _metric(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else _code(value)
