"""ModelCardData, what the user states for the model card, and the metrics that evaluators measured."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_OWN_TAGS = ("sentence-transformers", "feature-extraction", "tercet")


@dataclass
class ModelCardData:
    """The data of a model card that the model does not know.

    `SentenceTransformerModelCardData` is another name of this class.

    Args:
        language: a code such as "en", or several.
        license: the license of the model, such as "apache-2.0".
        model_name: the title of the card.
        model_id: the name of the model on the hub. `push_to_hub` sets it.
        train_datasets: the training data sets: names, or dictionaries with `name` and `id`, the name on the hub.
        eval_datasets: the evaluation data sets, in the same form.
        task_name: the task in words.
        tags: tags for the hub, besides those of Tercet.
        local_files_only: has no effect; no card needs the hub.
        generate_widget_examples: has no effect; no card has examples of the training data.

    Attributes:
        base_model: the name of the model that was fine-tuned; None if it is unknown.
        evaluations: the metrics that an evaluator of sentence-transformers stored, by its name.
    """

    language: str | list[str] | None = None
    license: str | None = None
    model_name: str | None = None
    model_id: str | None = None
    train_datasets: list[Any] = field(default_factory=list)
    eval_datasets: list[Any] = field(default_factory=list)
    task_name: str | None = None
    tags: list[str] = field(default_factory=list)
    local_files_only: bool = False
    generate_widget_examples: bool = False
    base_model: str | None = field(default=None, init=False)
    evaluations: dict[str, dict[str, float]] = field(default_factory=dict, init=False)

    def set_evaluation_metrics(self, evaluator: Any, metrics: dict[str, Any], epoch: float = 0, step: int = 0) -> None:
        """Store the metrics of an evaluator for the card; those of an earlier call of this evaluator are replaced."""
        name = " ".join(filter(None, [type(evaluator).__name__, str(getattr(evaluator, "name", None) or "")]))
        self.evaluations[name] = dict(metrics)

    def set_model_id(self, model_id: str) -> None:
        """Set the name of the model on the hub."""
        self.model_id = model_id

    def add_tags(self, tags: str | Iterable[str]) -> None:
        """Add tags that are not in `tags` yet."""
        self.tags += [tag for tag in ([tags] if isinstance(tags, str) else tags) if tag not in self.tags]

    def front_matter(self) -> dict[str, Any]:
        """Return the entries for the front matter of the card: language, license, data sets and all tags."""
        datasets = [entry["id"] for entry in _entries(self.train_datasets) if "id" in entry]
        return {
            "language": self.language or None,
            "license": self.license,
            "tags": list(dict.fromkeys([*_OWN_TAGS, *self.tags])),
            "datasets": list(dict.fromkeys(datasets)) or None,
        }

    def facts(self) -> dict[str, str | None]:
        """Return what the card lists about the model, by title."""
        return {
            "Task": self.task_name,
            "Training data": ", ".join(map(_name, _entries(self.train_datasets))) or None,
            "Evaluation data": ", ".join(map(_name, _entries(self.eval_datasets))) or None,
            "License": self.license,
        }


def card_data(given: Any) -> ModelCardData:
    """Return the data of a card; fields of an object of sentence-transformers are copied."""
    if given is None or isinstance(given, ModelCardData):
        return given or ModelCardData()
    names = [name for name in ModelCardData.__dataclass_fields__ if name != "evaluations"]
    data = ModelCardData()
    for name in names:
        if (value := getattr(given, name, None)) is not None:
            setattr(data, name, list(value) if isinstance(value, (list, tuple)) else value)
    return data


def _entries(datasets: Iterable[Any]) -> list[dict[str, str]]:
    return [entry if isinstance(entry, dict) else {"name": str(entry)} for entry in datasets]


def _name(entry: dict[str, str]) -> str:
    return entry.get("name") or entry.get("id") or "unnamed"
