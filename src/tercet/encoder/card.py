"""The model card: the README.md of a model directory, with data, loss, settings and metrics of the training."""

import json
from typing import Any

from tercet.catalogue import metric_digits, metric_title
from tercet.encoder.storage import ModelSettings
from tercet.records import TrainingRecord

# Number of label names in the card; a longer list would hide the rest of the page.
_MAX_LABELS = 200


def model_card(settings: ModelSettings, *, base_model: str | None, dimension: int, max_seq_length: int | None) -> str:
    """Return the text of the card, with the front matter that the hub reads.

    Args:
        base_model: name of the model that was trained further, if it is known.
        dimension: dimension of an embedding.
    """
    training, label_names = settings.training_record, settings.label_names
    parts = [_front_matter(base_model, training), "# A text-embedding model trained with Tercet\n"]
    parts.append(
        f"It maps a sentence to a vector of {dimension} numbers. Sentences with the same label have close vectors.\n"
        "This folder also loads in sentence-transformers.\n"
    )
    parts.append(
        "```python\n"
        "from tercet import SentenceTransformer\n\n"
        'model = SentenceTransformer("path/to/this/folder")\n'
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
                "Longest input": f"{max_seq_length} tokens" if max_seq_length else None,
                "Similarity": settings.similarity_fn_name,
            }
        )
    )
    if training:
        parts += _training(training)
    if label_names:
        num_hidden = len(label_names) - _MAX_LABELS
        shown = ", ".join(_code(name) for name in label_names[:_MAX_LABELS])
        parts += ["## Labels\n", shown + (f" and {num_hidden} more" if num_hidden > 0 else "") + "\n"]
    return "\n".join(parts)


def _training(training: TrainingRecord) -> list[str]:
    parts = ["## Training\n", _bullets({"Loss": training.loss, **training.loss_settings, **training.data})]
    if training.settings:
        parts += ["## Settings\n", _bullets(training.settings)]
    before, after = training.before or {}, training.after or {}
    parts.append("## Evaluation\n")
    if not (before or after):
        return [*parts, "Not measured.\n"]
    rows = ["| metric | before | after |", "|---|---|---|"]
    rows += [
        f"| {metric_title(key)} | {_number(before.get(key), key)} | {_number(after.get(key), key)} |"
        for key in {**before, **after}
    ]
    return [*parts, "\n".join(rows) + "\n"]


def _front_matter(base_model: str | None, training: TrainingRecord | None) -> str:
    lines = [
        "---",
        "library_name: sentence-transformers",
        "pipeline_tag: sentence-similarity",
        "tags:",
        "- sentence-transformers",
        "- feature-extraction",
        "- tercet",
    ]
    if training:
        lines.append(f"- loss:{training.loss}")
    if base_model and base_model.count("/") == 1:
        lines.append(f"base_model: {json.dumps(base_model)}")
    return "\n".join([*lines, "---", ""])


def _bullets(facts: dict[str, Any]) -> str:
    lines = [f"- {name}: {_code(value)}" for name, value in facts.items() if value is not None]
    return "\n".join(lines) + "\n"


def _code(value: object) -> str:
    """Return any text on one line, in backticks."""
    text = " ".join(str(value).split()).replace("`", "'")
    return f"`{text}`"


def _number(value: object, metric: str) -> str:
    return f"{value:.{metric_digits(metric)}f}" if isinstance(value, float) else "–" if value is None else str(value)
