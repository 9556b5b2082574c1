"""The number of steps of a run, and the time that is logged for them."""

import logging
import re
import time
from datetime import UTC, datetime

import pytest
import torch
from datasets import Dataset

from tercet import SentenceTransformer
from tercet.data import ReadOptions
from tercet.data.loading.training_data import load_training_data
from tercet.decisions import fit_time
from tercet.decisions.candidates import Rows
from tercet.decisions.fit_time import seconds_to_fit
from tercet.decisions.fitting import fit_rows
from tercet.decisions.spaces import Spaces
from tercet.errors import DataError
from tercet.evaluation.logistic import fit_logistic
from tercet.runs import RunSettings, time_limit, train
from tercet.runs.run_training import run_training
from tercet.runs.time_limit import plan_steps
from tests.ranks import run_ranks
from tests.runs import time_limit_run
from tests.trainer.helpers import make_trainer


@pytest.mark.parametrize("fsdp", [False, True])
def test_the_time_of_a_model_that_has_to_be_sharded_is_not_measured(fsdp, bert, labelled, tmp_path, caplog):
    """Measuring it would need the memory of the whole model with its optimizer, in each process."""
    caplog.set_level(logging.INFO, logger="tercet")
    settings = RunSettings(fsdp=fsdp, max_steps=60, epochs=1)
    trainer = make_trainer(bert, tmp_path, labelled)
    assert plan_steps(trainer, settings, None, elapsed=0.0, reserve=0.0, can_skip=False) == 60
    assert ("training the encoder takes about" in caplog.text) is not fsdp


@pytest.mark.parametrize(
    ("work", "fits"),
    [
        ({"rows_after": 100, "rows_per_epoch": 10, "seconds_per_row": 0.001}, True),
        ({"rows_after": 500, "seconds_per_row": 1.0}, False),
        ({"rows_after": 10**9}, False),  # by the seconds of a step
        ({"rows_per_epoch": 100, "seconds_per_row": 4.0}, False),
    ],
)
def test_time_is_kept_for_rows_that_are_embedded_besides_the_training(work, fits, bert, labelled, tmp_path):
    settings = RunSettings(time_limit=400.0, epochs=10)
    steps = plan_steps(
        make_trainer(bert, tmp_path, labelled), settings, None, elapsed=0.0, reserve=0.0, can_skip=True, **work
    )
    assert (steps > 0) is fits


@pytest.mark.parametrize(("save_every", "validation"), [(1, 0), (50, 0), (None, 0), (None, 10)])
def test_time_is_kept_for_checkpoints_and_best_states(save_every, validation, bert, labelled, tmp_path, monkeypatch):
    """Writing the model takes 100 s, and a checkpoint three times this: 300 s."""
    monkeypatch.setattr(time_limit, "seconds_to_write", lambda folder, write: 100.0)
    monkeypatch.setattr(time_limit, "seconds_per_step", lambda trainer, max_seconds: 0.001)
    monkeypatch.setattr(time_limit, "_MIN_STEPS", 1)
    trainer = make_trainer(bert, tmp_path, labelled)
    per_epoch = len(trainer.get_train_dataloader())
    settings = RunSettings(time_limit=400.0, epochs=60 / per_epoch, save_every=save_every)
    work = {"rows_per_epoch": validation, "seconds_per_row": 0.0}
    fitting = plan_steps(trainer, settings, None, elapsed=0.0, reserve=0.0, can_skip=True, **work)
    to_save = 300 / (save_every or per_epoch) + (100 / per_epoch if validation else 0)
    assert fitting == min(60, int((400 - (100 if validation else 0)) / (to_save + 0.001)))


def test_loading_and_measuring_count_in_the_time_limit(bert, labelled, tmp_path, monkeypatch):
    def slow(trainer, max_seconds):
        time.sleep(1)
        return 0.001

    monkeypatch.setattr(time_limit, "seconds_per_step", slow)
    settings = RunSettings(time_limit=400.0, epochs=1000)
    trainer = make_trainer(bert, tmp_path, labelled)
    steps = plan_steps(trainer, settings, None, elapsed=399.5, reserve=0.0, can_skip=True)
    assert steps == 0
    data = load_training_data(labelled, None, 0.0, ReadOptions(), triplets=False, seed=0)
    settings = RunSettings(train="encoder", max_steps=1, batch_size=8, samples_per_label=2)
    run = run_training(
        SentenceTransformer(bert, device="cpu"), data, tmp_path / "m", settings, start=time.monotonic() - 1000
    )
    assert 1000 < run.record.run["seconds"] < 1200
    started = datetime.strptime(run.record.run["started"], "%Y-%m-%dT%H:%M:%S%z")
    assert 1000 <= (datetime.now(UTC) - started).total_seconds() < 1200


@pytest.mark.slow
def test_the_classifier_embeds_the_training_rows_within_the_time_limit(bert, tmp_path, monkeypatch, caplog):
    """Without an evaluation, they are embedded once before the training and once after it."""

    def slow(self, sentences, *args, **options):
        time.sleep(5 if len(sentences) == 80 else 0)
        return encode(self, sentences, *args, **options)

    encode = SentenceTransformer.encode
    monkeypatch.setattr(SentenceTransformer, "encode", slow)
    words = ["match", "soup", "bank", "rain"]
    rows = [(f"the {word} number {number}", word) for word in words for number in range(20)]
    data = Dataset.from_dict({"sentence": [text for text, _ in rows], "label": [label for _, label in rows]})
    settings = RunSettings(time_limit=0.5, batch_size=8, samples_per_label=2)
    train(data, tmp_path / "m", model=bert, device="cpu", settings=settings, eval_fraction=0)
    needed = re.search(r"leaves no time to train the encoder, for which the run needs at least (\d+) s", caplog.text)
    assert int(needed[1]) >= 10


@pytest.mark.slow
@pytest.mark.parametrize(("classifier", "trains"), [(True, False), (False, True)])
def test_time_is_kept_to_fit_the_classifier(classifier, trains, bert, labelled, tmp_path, monkeypatch):
    monkeypatch.setattr("tercet.runs.classifier.seconds_to_fit", lambda *args, **options: 1000.0)
    settings = RunSettings(train="both", time_limit=300, epochs=1, batch_size=8, samples_per_label=2)
    options = {"model": bert, "device": "cpu", "eval_fraction": 0.5, "settings": settings, "classifier": classifier}
    if trains:
        assert train(labelled, tmp_path / "m", **options).record.choices["trained_encoder"]
        return
    with pytest.raises(DataError, match="time_limit=300 is too short to train the encoder; at least 1,?0"):
        train(labelled, tmp_path / "m", **options)


@pytest.mark.parametrize("held_out", [True, False])
def test_the_time_to_fit_a_classifier_is_estimated_within_a_factor(held_out):
    means = torch.nn.functional.normalize(torch.randn(50, 64), dim=1)
    label_ids = torch.arange(2500) % 50
    x = torch.nn.functional.normalize(means[label_ids] + 0.1 * torch.randn(2500, 64), dim=1)
    rows = Rows(spaces=Spaces(embeddings=x), label_ids=label_ids, num_labels=50)
    keys, part, rest = list(map(str, range(2500))), torch.arange(2000), torch.arange(2000, 2500)
    fit_rows(rows.select(part[:200]), keys[:200], unseen=False)  # The first call is slower.
    start = time.perf_counter()
    if held_out:
        fit_rows(rows.select(part), keys[:2000], calibration=rows.select(rest), unseen=True)
    else:
        fit_rows(rows, keys, unseen=False, trained_on=True)
    seconds = time.perf_counter() - start
    assert 0.1 < seconds_to_fit(2500, 50, [64], held_out=held_out) / seconds < 10


def test_only_a_small_classifier_is_fitted_to_estimate_the_time(monkeypatch):
    sizes = []

    def counted(x, label_ids, num_labels, penalty):
        sizes.append(x.numel() * num_labels)
        return fit_logistic(x, label_ids, num_labels, penalty)

    monkeypatch.setattr(fit_time, "fit_logistic", counted)
    fit_time._seconds_of_regression.cache_clear()
    first = seconds_to_fit(100_000, 2000, [1024, 1024], held_out=True)
    assert max(sizes) <= 30_000_000
    measured = len(sizes)
    assert seconds_to_fit(100_000, 2000, [1024, 1024], held_out=True) == first
    assert sizes[measured:] == []
    assert [size for size in sizes if size > 1_000_000] == [max(sizes)]  # The second dimension is the same.


def test_the_first_regression_of_a_process_is_not_measured(monkeypatch):
    """It loads parts of torch."""
    pauses = [1.0]

    def slow(*args):
        time.sleep(pauses.pop() if pauses else 0)
        return fit_logistic(*args)

    monkeypatch.setattr(fit_time, "fit_logistic", slow)
    fit_time._seconds_of_regression.cache_clear()
    assert seconds_to_fit(5000, 2, [4], held_out=True) < 20


@pytest.mark.parametrize("settings", [{"max_steps": 49}, {"max_steps": 60, "fsdp": True}], ids=str)
def test_no_classifier_is_fitted_where_no_time_is_estimated(settings, bert, labelled, tmp_path):
    def never():
        pytest.fail("the time to fit the classifier was measured")

    options = {"elapsed": 0.0, "reserve": 0.0, "can_skip": False, "seconds_to_fit": never}
    trainer = make_trainer(bert, tmp_path, labelled)
    assert plan_steps(trainer, RunSettings(epochs=1, **settings), None, **options) == settings["max_steps"]


def test_the_time_to_fit_a_classifier_grows_with_the_rows_and_the_spaces():
    of_sample = seconds_to_fit(1000, 20, [64], held_out=True)
    assert seconds_to_fit(100_000, 20, [64, 64], held_out=False) > 20 * of_sample


@pytest.mark.distributed
def test_all_processes_train_the_same_number_of_steps(bert, tmp_path):
    """They measure other times."""
    run_ranks(time_limit_run.main, bert, tmp_path, processes=2)
    first, second = (int((tmp_path / f"rank{rank}").read_text()) for rank in range(2))
    assert 0 < first == second < 10**6
