"""The model card: what the model was trained on, with which loss and settings, and what was measured."""

import json
from typing import Any

_LABELS_SHOWN = 200

METRIC_NAMES = {
    "map@r": "MAP@R",
    "r_precision": "R-precision",
    "recall@1": "recall@1",
    "recall@5": "recall@5",
    "recall@10": "recall@10",
    "knn_accuracy": "kNN accuracy",
    "mean_positive_distance": "mean distance to positives",
    "mean_negative_distance": "mean distance to negatives",
    "cosine_accuracy": "triplet accuracy (cosine)",
    "euclidean_accuracy": "triplet accuracy (euclidean)",
    "manhattan_accuracy": "triplet accuracy (manhattan)",
}


def model_card(
    *,
    base_model: str | None,
    dimension: int,
    max_seq_length: int | None,
    similarity: str,
    label_names: list[str] | None,
    training: dict[str, Any] | None,
) -> str:
    """The README.md of a model directory, with the front matter that the hub reads.

    Args:
        training: a record with the keys `loss`, `loss_settings`, `data`, `settings`, `before`, `after`,
            all optional; see `tercet.trainer.record`.
    """
    parts = [_front_matter(base_model, training), "# A text-embedding model trained with Tercet\n"]
    parts.append(
        f"It maps a sentence to a vector of {dimension} numbers; sentences of one label lie close together.\n"
        "It is a sentence-transformers directory and loads in that library as well.\n"
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
                "Similarity": similarity,
            }
        )
    )
    if training:
        parts += _training(training)
    if label_names:
        more = len(label_names) - _LABELS_SHOWN
        shown = ", ".join(_code(name) for name in label_names[:_LABELS_SHOWN])
        parts += ["## Labels\n", shown + (f" and {more} more" if more > 0 else "") + "\n"]
    return "\n".join(parts)


def _training(training: dict[str, Any]) -> list[str]:
    parts = ["## Training\n"]
    data = training.get("data") or {}
    parts.append(_bullets({"Loss": training.get("loss"), **(training.get("loss_settings") or {}), **data}))
    settings = training.get("settings") or {}
    if settings:
        parts += ["## Settings\n", _bullets(settings)]
    before, after = training.get("before") or {}, training.get("after") or {}
    parts.append("## Evaluation\n")
    if not (before or after):
        parts.append("Not measured.\n")
        return parts
    rows = ["| metric | before | after |", "|---|---|---|"]
    rows += [
        f"| {METRIC_NAMES.get(name, name)} | {_number(before.get(name))} | {_number(after.get(name))} |"
        for name in {**before, **after}
    ]
    parts.append("\n".join(rows) + "\n")
    return parts


def _front_matter(base_model: str | None, training: dict[str, Any] | None) -> str:
    lines = [
        "---",
        "library_name: sentence-transformers",
        "pipeline_tag: sentence-similarity",
        "tags:",
        "- sentence-transformers",
        "- feature-extraction",
        "- tercet",
    ]
    if training and training.get("loss"):
        lines.append(f"- loss:{training['loss']}")
    if base_model and base_model.count("/") == 1:
        lines.append(f"base_model: {json.dumps(base_model)}")
    return "\n".join([*lines, "---", ""])


def _bullets(facts: dict[str, Any]) -> str:
    lines = [f"- {name}: {_code(value)}" for name, value in facts.items() if value is not None]
    return "\n".join(lines) + "\n"


def _code(value: object) -> str:
    """Text in backticks on one line, whatever it holds."""
    text = " ".join(str(value).split()).replace("`", "'")
    return f"`{text}`"


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "–" if value is None else str(value)
