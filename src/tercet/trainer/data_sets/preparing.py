"""Prepare the data sets of a trainer: find and check their columns, and number their labels."""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from datasets import Dataset, DatasetDict
from torch import nn
from transformers import Trainer

from tercet.data.formats.split_names import EVALUATION_SPLITS
from tercet.data.reading.in_memory import is_table_dict, to_dataset
from tercet.encoder.modules import Router
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError
from tercet.trainer.arguments import SentenceTransformerTrainingArguments
from tercet.trainer.data_sets.columns import (
    draw_all,
    has_transform,
    label_column,
    prepare_labelled,
    prepare_triplets,
    text_columns,
)
from tercet.trainer.data_sets.prepared_sets import PreparedSet, first_rows, parts_of
from tercet.trainer.data_sets.prompts import find_prompts, prompt_lengths_to_exclude
from tercet.trainer.data_sets.routing import find_tasks
from tercet.trainer.data_sets.stream_labels import labels_of_stream
from tercet.trainer.data_sets.streaming import Stream, check_stream, is_stream
from tercet.trainer.loss.kinds import innermost, loss_of_set, set_losses, takes_triplets
from tercet.trainer.loss.multi_labels import (
    check_both_have_sets,
    clear_relation,
    has_lists,
    set_relation,
    single_labels,
)


class PreparingTrainer(Trainer):
    """The part of `SentenceTransformerTrainer` that prepares data sets."""

    model: SentenceTransformer
    args: SentenceTransformerTrainingArguments
    loss: nn.Module
    _arguments: SentenceTransformerTrainingArguments

    def _forget_data_sets(self) -> None:
        """Start without any data set. The trainer calls this before it prepares the first one."""
        # The keys are the prepared data sets. An entry disappears with its data set.
        self._prepared_sets: WeakKeyDictionary[Any, PreparedSet] = WeakKeyDictionary()
        # The training data by name, or under None; if there are none, the first evaluation data.
        self._training_sets: dict[str | None, PreparedSet] = {}

    @property
    def takes_triplets(self) -> bool:
        """True if the training data are triplets instead of labelled sentences."""
        return takes_triplets(set_losses(self.loss)[0], default=self._train_columns("anchor"))

    @property
    def label_names_of_training(self) -> list[str] | None:
        """The names of the labels of the training data; None for integers, triplets and several data sets."""
        known = self._training_sets.get(None)
        if known is None or known.set_names is None:
            return None if known is None else known.label_names
        return single_labels(known.label_names or [])

    @property
    def prompts(self) -> dict[str, str]:
        """The prompt of each text column of the prepared data, of the first of several data sets."""
        return self._prompts_of(next(iter(self._training_sets), None))

    def _prompts_of(self, name: str | None) -> dict[str, str]:
        """Return the prompt of each text column of a data set."""
        known = self._known(name) or next(iter(self._training_sets.values()), None)
        return find_prompts(self.args.prompts, self.model, known.columns if known else {}, name)

    @property
    def _router_mapping(self) -> dict[str, Any] | None:
        mapping = self.args.router_mapping
        return mapping if isinstance(mapping, dict) else None  # A JSON text was read into one.

    def _tasks_of(self, name: str | None) -> dict[str, str | None]:
        """Return the task of each text column of a data set; none for a model without a Router."""
        if not isinstance(self.model.input_module, Router):
            return {}
        known = self._known(name) or next(iter(self._training_sets.values()), None)
        return find_tasks(self._router_mapping, known.columns if known else {}, name)

    def _known(self, name: str | None) -> "PreparedSet | None":
        """Return the training data that a data set with this name is compared with."""
        return self._training_sets.get(name) or self._training_sets.get(None)

    def _known_by_loss(self, loss: nn.Module, source: str, *, has_sets: bool, training: bool) -> "PreparedSet | None":
        """Return other known data with the same loss object, if the rows of one of them have several labels.

        A loss has one table of sets of labels, so evaluation data are compared with these data.

        Raises:
            DataError: the trainer is to train on both.
        """
        for name, facts in self._training_sets.items():
            same = innermost(loss_of_set(self.loss, name)) is innermost(loss)
            if same and (has_sets or facts.set_names is not None):
                if training:
                    raise DataError(
                        f"{source} has the same loss object as the data set {name!r}, and rows have several labels, "
                        "whose numbers differ from set to set; pass a dictionary with a loss for each data set"
                    )
                return facts
        return None

    def _train_columns(self, name: str) -> bool:
        """Return whether the first training set has a column of this name."""
        return any(name in known.columns.values() for known in self._training_sets.values())

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device, and add the tasks, and the numbers of prompt tokens that pooling leaves out."""
        inputs = super()._prepare_inputs(inputs)
        name, features = inputs.get("dataset_name"), inputs["features"]
        tasks = self._tasks_of(name)
        lengths = prompt_lengths_to_exclude(self._prompts_of(name), tasks, self.model)
        added = [
            {**({"task": tasks[column]} if tasks.get(column) else {}), **({"prompt_length": length} if length else {})}
            for column, length in lengths.items()
        ]
        if not any(added):
            return inputs
        if isinstance(features, list):  # A collator of the user may have made another number of them.
            added = added if len(added) == len(features) else added[:1] * len(features)
            inputs["features"] = [{**more, **column} for more, column in zip(added, features, strict=True)]
        else:
            inputs["features"] = {**added[0], **features}
        return inputs

    def _prepare(self, dataset: Any, source: str, *, name: str | None = None, training: bool = False) -> Any:
        """Return a data set with the columns that the loss needs, and remember it as a `PreparedSet`.

        A data set that is already prepared, and None, are returned unchanged.

        Args:
            dataset: the data set of the user.
            source: its name in messages.
            name: its name among several data sets.
            training: whether the trainer trains on it. Labels of other data sets get the ids that they have in it.
        """
        if dataset is None or (isinstance(dataset, Dataset) and dataset in self._prepared_sets):
            return dataset
        loss = loss_of_set(self.loss, name)
        labels = set_names = None
        dataset = to_dataset(dataset, source)
        drawn = draw_all(dataset, source) if has_transform(dataset) else dataset
        known = self._known(name)
        if takes_triplets(loss, default=_has_three_texts(drawn)):
            prepared, label_names = prepare_triplets(drawn, source), None
        else:
            column = label_column(drawn, source)
            has_sets = has_lists(drawn.features[column])
            known = self._known_by_loss(loss, source, has_sets=has_sets, training=training) or known
            names = None if known is None or training else known.set_names or known.label_names
            prepared, label_names = prepare_labelled(drawn, source, names)
            of_training = None if training or known is None else known
            if has_sets or (of_training is not None and of_training.set_names is not None):
                check_both_have_sets(source, of_training is None or of_training.set_names is not None, label_names)
                set_names = label_names
                set_relation(loss, set_names or [])
                if of_training is not None:
                    of_training.set_names = set_names
            elif of_training is None:
                clear_relation(loss)
            if drawn is not dataset:
                labels = column, drawn[column][:]
        facts = PreparedSet(name, dataset, text_columns(drawn, prepared), labels, label_names, set_names)
        self._prepared_sets[prepared] = facts
        if training or not self._training_sets:
            self._training_sets[name] = facts
        return prepared

    def _prepare_stream(self, data: Any) -> Stream:
        """Return training data that are a stream. The rows of its first part are prepared as a data set."""
        args = self._arguments
        size = max(args.stream_buffer_size, 2 * args.train_batch_size * args.world_size)
        stream = Stream(data, size)
        triplets = takes_triplets(self.loss, default=_has_three_texts(stream.first))
        column = None if triplets else label_column(stream.first, "train_dataset")
        check_stream(args, self.loss, stream.first, column)
        first = self._prepare(stream.first, "train_dataset", training=True)
        if column is not None:
            stream.labels = labels_of_stream(stream.first, column, self._prepared_sets[first].label_names)
        stream.prepared = first
        return stream

    def _prepare_all(self, data: Any, source: str, *, training: bool = False) -> Any:
        """Return one prepared data set, a `Stream`, or a `DatasetDict` of several data sets."""
        if is_stream(data) and training:
            return self._prepare_stream(data)
        parts = data.values() if isinstance(data, Mapping) else [data]
        if any(map(is_stream, parts)):
            raise DataError(
                f"{source} is an IterableDataset, of which only one can be trained on, and none be evaluated; pass a "
                "datasets.Dataset, such as Dataset.from_generator, which keeps its rows on disk"
            )
        if not is_table_dict(data):
            return self._prepare(data, source, training=training)
        if training:
            _check_set_names(data, source)
        return DatasetDict(
            {name: self._prepare(one, f"{source} {name!r}", name=name, training=training) for name, one in data.items()}
        )

    def _empty_evaluation_set(self) -> Any:
        """Return a data set without rows. Without one, `transformers` raises an error instead of evaluating."""
        first = first_rows(next(iter(parts_of(self.train_dataset).values())))
        if first is None:
            return None
        empty, facts = first.select(range(0)), self._prepared_sets[first]
        self._prepared_sets[empty] = PreparedSet(facts.name, empty, facts.columns, label_names=facts.label_names)
        return empty


def _check_set_names(data: Mapping[str, Any], source: str) -> None:
    """Check a dictionary of data sets to train on.

    Raises:
        DataError: it has a split for evaluation beside one for training.
    """
    splits = set(EVALUATION_SPLITS) & set(data)
    if splits and "train" in data:
        raise DataError(
            f"{source} has the splits {sorted(data)}, and all data sets of a dictionary are trained on; pass "
            f"train_dataset=data['train'] and eval_dataset=data[{min(splits)!r}]"
        )


def _has_three_texts(dataset: Any) -> bool:
    """Return whether all columns of a data set are texts, and there are three."""
    features = getattr(dataset, "features", None) or {}
    return len(features) == 3 and all("string" in str(getattr(value, "dtype", "")) for value in features.values())
