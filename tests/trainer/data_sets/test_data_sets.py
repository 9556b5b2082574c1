"""Data sets for training: columns, labels, and the sentences that each epoch draws."""

import gc

import pytest
import torch
from datasets import ClassLabel, Dataset

from tercet import SentenceTransformer, SentenceTransformerTrainer, losses
from tercet.errors import DataError
from tests.trainer.helpers import flat_weights, make_arguments, make_trainer


def _sentences(features):
    """The token ids of each sentence in a packed batch."""
    return [tuple(ids.tolist()) for ids in features["input_ids"][0].split(features["packing"].lengths.tolist())]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["names", "integers", "class labels"])
def test_every_kind_of_label_trains_the_same_model_and_names_are_stored(kind, bert, sentences, labels, tmp_path):
    label_ids = [sorted(set(labels)).index(label) for label in labels]
    data = Dataset.from_dict({"text": sentences, "label": labels if kind == "names" else label_ids})
    if kind == "class labels":
        data = data.cast_column("label", ClassLabel(names=sorted(set(labels))))
    trainer = make_trainer(bert, tmp_path, data)
    trainer.train()
    trainer.model.save_pretrained(tmp_path / "model")
    again = SentenceTransformer(tmp_path / "model", device="cpu")
    assert again.label_names == (None if kind == "integers" else sorted(set(labels)))
    expected = make_trainer(bert, tmp_path, Dataset.from_dict({"text": sentences, "label": label_ids}))
    expected.train()
    assert torch.equal(flat_weights(trainer.model), flat_weights(expected.model))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a"], "label": [0], "title": ["b"]}, "Several have a usual name: 'text', 'title'"),
        ({"text": ["a"]}, "'text' (text)"),
        ({"text": ["a"], "score": [0.5]}, "'text' (text), 'score' (other)"),
        ({"text": ["a", ""], "label": [0, 1]}, "train_dataset, row 1: the text is empty"),
        ({"text": ["a", "b"], "label": ["x", None]}, "train_dataset, row 1: the label is missing"),
        ({"text": [], "label": []}, "train_dataset has no rows"),
    ],
)
def test_wrong_columns_raise_an_error_that_names_them(columns, message, bert, tmp_path):
    with pytest.raises(DataError) as caught:
        make_trainer(bert, tmp_path, Dataset.from_dict(columns))
    assert message in str(caught.value)


def test_class_labels_keep_their_numbers(bert, sentences, tmp_path):
    names = ["zebra", "ape", "dog"]
    data = Dataset.from_dict({"text": sentences[:6], "label": [0, 0, 1, 1, 2, 2]})
    trainer = make_trainer(bert, tmp_path, data.cast_column("label", ClassLabel(names=names)))
    assert trainer.train_dataset["label"][:] == [0, 0, 1, 1, 2, 2]
    assert trainer.label_names_of_training == names


def test_eval_labels_are_numbered_as_in_training_and_do_not_change_the_label_names(bert, labelled, tmp_path):
    other = Dataset.from_dict({"text": ["a", "b", "c", "d"], "label": ["zoo", "travel", "zoo", "ant"]})
    trainer = make_trainer(bert, tmp_path, labelled, eval_dataset=other)
    assert trainer.label_names_of_training == ["food", "money", "sport", "travel"]
    assert trainer.eval_dataset["label"][:] == [5, 3, 5, 4]


def test_eval_data_without_a_batch_raise_an_error_at_once(bert, labelled, tmp_path):
    with pytest.raises(DataError, match="eval_dataset has no label twice"):
        make_trainer(bert, tmp_path, labelled, eval_dataset=labelled.select([0, 4, 8]))


def test_every_epoch_draws_all_sentences_in_a_new_order(bert, labelled, tmp_path):
    trainer = make_trainer(bert, tmp_path, labelled, changes={"num_train_epochs": 2, "max_steps": -1})
    batches: list[list[tuple[int, ...]]] = []
    trainer.model.register_forward_pre_hook(lambda _, arguments: batches.append(_sentences(*arguments)))
    trainer.train()
    half = len(batches) // 2
    epochs = [[ids for batch in part for ids in batch] for part in (batches[:half], batches[half:])]
    assert set(epochs[0]) == set(epochs[1]) == set(map(tuple, trainer.model.token_ids(labelled["text"][:])))
    assert epochs[0] != epochs[1]


@pytest.mark.slow
def test_sentences_are_tokenized_once(bert, labelled, tmp_path):
    changes = {"num_train_epochs": 3, "max_steps": -1, "eval_strategy": "epoch"}
    model = SentenceTransformer(bert, device="cpu")
    tokenized: list[str] = []
    token_ids = model.transformer.token_ids
    model.transformer.token_ids = lambda texts, *more: tokenized.extend(texts) or token_ids(texts, *more)
    trainer = SentenceTransformerTrainer(
        model=model, args=make_arguments(tmp_path, **changes), train_dataset=labelled,
        eval_dataset=labelled.select(range(8)), evaluator=lambda model: {"nothing": 0.0},
        loss=losses.BatchHardTripletLoss(model, margin=0.3),
    )  # fmt: skip
    trainer.train()
    assert sorted(text for text in tokenized if text in set(labelled["text"])) == sorted(
        [*labelled["text"], *labelled["text"][:8]]
    )


@pytest.mark.slow
def test_a_transform_is_applied_each_time_a_row_is_drawn(bert, labelled, tmp_path):
    calls = []

    def augment(rows):
        calls.append(len(rows["text"]))
        return {**rows, "text": [f"{text} {'again ' * (len(calls) % 3)}" for text in rows["text"]]}

    transformed = labelled.class_encode_column("label").with_transform(augment)
    trainer = make_trainer(bert, tmp_path, transformed, eval_dataset=transformed, changes={"max_steps": 4})
    batches: list[list[tuple[int, ...]]] = []
    trainer.model.register_forward_pre_hook(lambda _, arguments: batches.append(_sentences(*arguments)))
    trainer.train()
    assert sum(calls) >= 2 * 16 + 4 * 8
    assert trainer.label_names_of_training == ["food", "money", "sport", "travel"]
    lengths = {len(ids) for batch in batches for ids in batch}
    drawn = {tuple(ids) for batch in batches for ids in batch}
    plain = {tuple(ids) for ids in trainer.model.token_ids(labelled["text"][:])}
    assert drawn - plain, lengths
    assert trainer.evaluate()["eval_loss"] > 0

    labels = iter(range(100))
    changing = labelled.with_transform(
        lambda rows: {"text": rows["text"], "label": [next(labels) // 8 for _ in rows["text"]]}
    )
    with pytest.raises(DataError, match="must not change a label from one draw to the next"):
        make_trainer(bert, tmp_path, changing).train()
    with pytest.raises(
        DataError, match=r"train_dataset: the transform \(set_transform or with_transform\) must return"
    ):
        make_trainer(bert, tmp_path, labelled.with_transform(lambda rows: rows["txt"]))
    assert make_trainer(bert, tmp_path, labelled.with_format("torch")).train_dataset.num_rows == 16


@pytest.mark.slow
@pytest.mark.parametrize("how", ["evaluate", "predict"])
def test_other_data_sets_are_prepared_like_those_of_the_constructor_and_not_kept(how, bert, labelled, tmp_path):
    trainer = make_trainer(bert, tmp_path, labelled, eval_dataset=labelled, changes={"per_device_eval_batch_size": 16})
    expected = trainer.evaluate()["eval_loss"]
    renamed = labelled.rename_columns({"text": "message", "label": "labels"})
    if how == "evaluate":
        assert trainer.evaluate(renamed)["eval_loss"] == expected
        several = trainer.evaluate({"one": renamed, "two": labelled.class_encode_column("label")})
        assert several["eval_one_loss"] == several["eval_two_loss"] == expected
        assert trainer.evaluate(trainer.eval_dataset.select(range(8)))["eval_loss"] > 0
    else:
        assert trainer.predict(renamed).metrics["test_loss"] == expected
    gc.collect()
    assert len(trainer._prepared_sets) == 2


@pytest.mark.slow
def test_each_evaluation_set_has_its_own_persistent_workers(bert, labelled, tmp_path):
    parts = {"one": labelled.select(range(8)), "two": labelled}
    changes = {"dataloader_persistent_workers": True, "dataloader_num_workers": 1}
    trainer = make_trainer(bert, tmp_path, labelled, eval_dataset=parts, changes=changes)
    losses_of_parts = []
    for _ in range(2):
        metrics = trainer.evaluate()
        losses_of_parts.append((metrics["eval_one_loss"], metrics["eval_two_loss"]))
    other = trainer.evaluate(parts)
    losses_of_parts.append((other["eval_one_loss"], other["eval_two_loss"]))
    assert len(set(losses_of_parts)) == 1
    assert len(set(losses_of_parts[0])) == 2


@pytest.mark.slow
def test_whole_floating_point_labels_are_integers(bert, sentences, tmp_path):
    labels = [float(row // 4) for row in range(16)]
    data = Dataset.from_dict({"text": sentences, "label": labels})
    assert make_trainer(bert, tmp_path, data).train_dataset["label"][:] == [row // 4 for row in range(16)]
    with pytest.raises(DataError, match=r"train_dataset, row 0: the label is 0.5 \(float\)"):
        make_trainer(bert, tmp_path, Dataset.from_dict({"text": sentences, "label": [0.5, *labels[1:]]}))


def test_triplet_columns_are_found_by_name_in_any_order(bert, sentences, tmp_path):
    data = Dataset.from_dict({"negative": sentences[8:12], "query": sentences[:4], "positive": sentences[4:8]})
    changes = {"batch_sampler": "batch_sampler"}
    trainer = make_trainer(bert, tmp_path, data, losses.TripletLoss, changes=changes)
    row = {"anchor": sentences[0], "positive": sentences[4], "negative": sentences[8]}
    assert trainer.train_dataset[0] == row
    with pytest.raises(DataError, match="column 'positive' is number 1"):
        make_trainer(bert, tmp_path, data.rename_columns({"positive": "a", "negative": "positive"}), losses.TripletLoss,
                     changes=changes)  # fmt: skip
