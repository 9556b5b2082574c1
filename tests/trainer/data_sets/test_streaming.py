"""Training on an `IterableDataset`: batches of a buffer, every row, the same run for the same seed, clear errors."""

from collections import Counter

import pytest
import torch
from datasets import ClassLabel, Dataset, Features, IterableDataset, Value
from datasets.distributed import split_dataset_by_node
from torch.utils.data import IterableDataset as TorchStream

from tercet import SentenceTransformer, losses
from tercet.errors import DataError
from tercet.trainer.batches.stream_batches import StreamBatches
from tercet.trainer.data_sets.stream_labels import StreamLabels
from tercet.trainer.data_sets.streaming import Stream
from tests.trainer.helpers import flat_weights, logged_losses, make_arguments, make_trainer

ROWS = [
    {"id": n, "text": f"{word} {n}", "intent": word}
    for n, word in enumerate(["play", "bank", "soup", "rain", "goal"] * 12)
]
BUFFER = {"stream_buffer_size": 24}


def stream(rows=ROWS, **options):
    return IterableDataset.from_generator(lambda: iter(rows), **options)


def batches_of(rows, *, epochs=1, process=(0, 1), samples_per_label=2, batch_size=8, **options):
    """The texts and labels of the batches of the first passes over a stream."""
    data = Stream(stream(rows), 24)
    data.labels = StreamLabels("intent", sorted({row["intent"] for row in rows[:24]}), fixed=False)
    batches = StreamBatches(
        data, {"text": "sentence"}, batch_size=batch_size, samples_per_label=samples_per_label, process=process, seed=0,
        convert=lambda role, texts: (role, texts), **options,
    )  # fmt: skip
    found, drawn, last = [], iter(batches), len(rows)
    seen: Counter[str] = Counter()
    while min((seen[row["text"]] for row in rows), default=0) < epochs and len(found) < 20 * last:
        batch = next(drawn)
        seen.update(row["sentence"] for row in batch)
        found.append([(row["sentence"], data.labels.names[row["label"]]) for row in batch])
    return found


def test_the_batches_have_triplets_every_row_and_the_right_labels():
    rare = [{"text": f"rare {n}", "intent": f"label {n}"} for n in range(10)]
    rows = [row for pair in zip(ROWS, rare, strict=False) for row in pair] + ROWS[10:]
    found = batches_of(rows)
    for batch in found:
        assert len(batch) == 8
        assert all(text.split()[0] == label or text.startswith("rare") for text, label in batch)
        counts = Counter(label for _, label in batch)
        assert counts.most_common(1)[0][1] >= 2
        assert len(counts) >= 2
    assert {text for batch in found for text, _ in batch} == {row["text"] for row in rows}
    # A batch has rows of one part of the stream: 0 to 23, 24 to 47, and so on.
    position = {row["text"]: number // 24 for number, row in enumerate(rows[:48])}
    parts = [{position[text] for text, _ in batch if text in position} for batch in found]
    assert all(len(part) <= 1 for part in parts)
    assert batches_of(rows) == found


def test_the_processes_share_each_batch():
    whole = batches_of(ROWS)
    shares = [batches_of(ROWS, process=(rank, 2)) for rank in range(2)]
    joined = [one + two for one, two in zip(*shares, strict=False)]
    assert joined[: len(whole)] == whole[: len(joined)]
    assert len(joined) >= len(ROWS) / 8


def test_random_batches_have_every_row_once():
    found = batches_of(ROWS, samples_per_label=None)
    assert sorted(text for batch in found for text, _ in batch) == sorted(row["text"] for row in ROWS)
    assert all(len(batch) == 8 for batch in batches_of(ROWS[:-2], samples_per_label=None, drop_last=True)[:7])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_is_decided_by_the_seed_and_can_be_resumed(bert, tmp_path, workers):
    changes = {**BUFFER, "dataloader_num_workers": workers, "max_steps": 9, "save_strategy": "steps", "save_steps": 5}
    # The last label comes after the first part. A worker cannot send its name, so it needs integers.
    new = [{"id": 0, "text": f"new {n}", "intent": "a"} for n in range(2)]
    rows = [*ROWS[:30], *new, *ROWS[30:]]
    if workers:
        rows = [{"text": row["text"], "label": sum(map(ord, row["intent"]))} for row in rows]
    trainer = make_trainer(bert, tmp_path / "a", stream(rows), changes=changes)
    trainer.train()
    assert trainer.model.label_names == (None if workers else ["bank", "goal", "play", "rain", "soup", "a"])
    assert trainer.model.training_record.data == {"Training data": "a stream"}
    again = make_trainer(bert, tmp_path / "a", stream(rows), changes=changes)
    again.train(resume_from_checkpoint=str(tmp_path / "a/checkpoint-5"))
    assert torch.equal(flat_weights(again.model), flat_weights(trainer.model))
    other = make_trainer(bert, tmp_path / "a", stream(rows[1:]), changes=changes)
    with pytest.raises(DataError, match="is a checkpoint of another run: the training data differ"):
        other.train(resume_from_checkpoint=str(tmp_path / "a/checkpoint-5"))


@pytest.mark.slow
def test_a_buffer_of_all_rows_gives_the_run_of_a_data_set(bert, tmp_path):
    numbers = [{"text": row["text"], "label": len(row["intent"]) + row["id"] % 2} for row in ROWS]
    classes = Features({"text": Value("string"), "label": ClassLabel(names=[f"class {n}" for n in range(6)])})
    for features in (None, classes):
        data = Dataset.from_list(numbers, features=features)
        expected = make_trainer(bert, tmp_path, data, changes={"dataloader_drop_last": True})
        expected.train()
        trainer = make_trainer(bert, tmp_path, stream(numbers, features=features), evaluator=lambda model: 1.0)
        trainer.train()
        assert logged_losses(trainer) == logged_losses(expected)
        assert trainer.model.label_names == expected.model.label_names
        assert trainer.evaluate()["eval_evaluator"] == 1.0


@pytest.mark.slow
def test_triplets_and_other_streams(bert, tmp_path):
    class Triplets(TorchStream):
        def __iter__(self):
            return iter([{"anchor": f"a {n}", "positive": f"b {n}", "negative": f"c {n}"} for n in range(20)])

    changes = {"batch_sampler": "batch_sampler", "max_steps": 3}
    trainer = make_trainer(bert, tmp_path, Triplets(), losses.TripletLoss, changes=changes)
    trainer.train()
    assert len(logged_losses(trainer)) == 3


SORTED = sorted(ROWS, key=lambda row: row["intent"])


@pytest.mark.parametrize(
    ("data", "changes", "message"),
    [
        (stream(), {"max_steps": -1}, "train_dataset is a stream, whose number of rows is unknown; pass max_steps"),
        (stream(), {"dataloader_num_workers": 2}, "a stream is read by one worker at most"),
        (stream(), {"dataloader_num_workers": 1}, "needs labels that are integers or a ClassLabel in a stream"),
        (stream(), {"batch_sampler": "no_duplicates"}, "batch_sampler='no_duplicates' needs all rows"),
        (stream(), {"neighbor_labels": 0.5}, "neighbor_labels needs all labels"),
        (stream(ROWS[:3]), {}, "a stream of 3 rows, less than a batch of 8; use a smaller per_device_train_batch_size"),
        (stream([{"text": "a", "intent": ["x"]}] * 30), {}, "several or nested labels of a row must be known"),
        (split_dataset_by_node(stream(), 0, 2), {}, "a part of a stream .split_dataset_by_node.; pass the whole"),
        ({"a": stream(), "b": stream()}, {}, "train_dataset is an IterableDataset, of which only one can be"),
        (
            stream(SORTED[:12] * 3),
            BUFFER,
            "row 0 of the stream on, 24 rows: no batch .* label only.*dataset.shuffle",
        ),
    ],
)
def test_what_a_stream_cannot_do_is_an_error_before_the_run(bert, tmp_path, data, changes, message):
    with pytest.raises(DataError, match=message):
        make_trainer(bert, tmp_path, data, changes=changes)


@pytest.mark.parametrize(
    ("later", "message"),
    [
        ([{"text": "", "intent": "play"}], "from row 24 of the stream on, row 0: the text is empty"),
        ([{"text": "a", "intent": None}], "from row 24 of the stream on, row 0: the label is missing"),
        ([{"text": "a", "intent": 3}] * 40, "from row 24 of the stream on: a label is 3, but earlier ones are strings"),
        ([{"text": "a", "intent": "Play"}] * 20, ": 20 rows .* way than in earlier rows, such as 'Play' for 'play'"),
        ([{"text": "a"}] * 20, "a row has no 'intent', only 'text'"),
        (SORTED[:12] * 2, r"from row 24 of the stream on, 24 rows: no batch .* mix the labels with dataset.shuffle"),
    ],
)  # fmt: skip
def test_later_rows_that_cannot_be_used_are_an_error_with_their_place(later, message):
    with pytest.raises(DataError, match=message):
        batches_of(ROWS[:24] + later + ROWS[:24])


def test_a_stream_that_cannot_start_again_is_refused():
    rows = iter(ROWS)
    with pytest.raises(DataError, match="a stream that cannot start again, such as a generator; pass an"):
        Stream(rows, 24)


def test_a_first_part_with_one_label_is_refused_without_groups(bert, tmp_path):
    with pytest.raises(DataError, match="train_dataset"):
        make_trainer(bert, tmp_path, stream(SORTED[:12] * 4), changes={"batch_sampler": "batch_sampler", **BUFFER})


def test_a_stream_cannot_be_evaluated(bert, tmp_path):
    model = SentenceTransformer(bert, device="cpu")
    loss = losses.BatchAllTripletLoss(model)
    from tercet import SentenceTransformerTrainer

    with pytest.raises(DataError, match="eval_dataset is an IterableDataset, of which only one can be trained on"):
        SentenceTransformerTrainer(
            model, make_arguments(tmp_path), Dataset.from_list(ROWS), eval_dataset=stream(), loss=loss
        )
