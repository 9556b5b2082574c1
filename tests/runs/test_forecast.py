"""The expected time of a whole run, which is logged after its first sentences."""

import logging
import re
from contextlib import contextmanager

import pytest
from datasets import Dataset

from tercet import SentenceTransformer
from tercet.runs import RunSettings, forecast, train
from tercet.runs.margin import NUM_MEASURED
from tercet.runs.run_stages import PlannedRun


@pytest.fixture
def many():
    """Twenty sentences of each of four labels. Each sentence contains its label."""
    words = ["match", "soup", "bank", "rain"]
    rows = [(f"the {word} number {number}", word) for word in words for number in range(20)]
    return Dataset.from_dict({"sentence": [text for text, _ in rows], "label": [label for _, label in rows]})


def _triplets(data):
    texts = data["sentence"]
    return Dataset.from_dict({"anchor": texts[:10], "positive": texts[10:20], "negative": texts[20:30]})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "eval_fraction"),
    [
        ({"train": "both", "max_steps": 8}, 0.2),
        ({"train": "both", "max_steps": 8}, 0),
        ({"train": "head"}, 0.2),
        ({"train": "encoder", "epochs": 2}, 0.2),
        ({"train": "auto", "epochs": 2}, 0.2),
        ({"loss": "triplet", "train": "encoder", "epochs": 3}, 0.2),
    ],
    ids=str,
)
def test_all_texts_that_a_run_embeds_and_trains_on_are_counted(
    changes, eval_fraction, bert, many, tmp_path, monkeypatch
):
    """With a second for each text and none for the classifier, the forecast is the number of texts."""
    found, embedded, trained = [], [], []

    def counted(self, sentences, *args, **options):
        embedded.append(len(sentences))
        return encode(self, sentences, *args, **options)

    def at_a_second(run, seconds_per_text):
        found.append(remaining(run, 1.0))
        trained.append(run)
        return 1.0

    encode, remaining = SentenceTransformer.encode, forecast.remaining_seconds
    monkeypatch.setattr(SentenceTransformer, "encode", counted)
    monkeypatch.setattr(forecast, "remaining_seconds", at_a_second)
    monkeypatch.setattr("tercet.runs.classifier.seconds_to_fit", lambda *args, **options: 0.0)
    settings = RunSettings(**{"batch_size": 8, "samples_per_label": 2, "margin": 0.3, **changes})
    data = _triplets(many) if settings.uses_triplets else many
    train(data, tmp_path / "m", model=bert, device="cpu", settings=settings, eval_fraction=eval_fraction)
    (run,) = trained
    steps = run.trainer.state.global_step if settings.train != "head" else 0
    rows = settings.epochs * len(run.trainer.train_dataset) if settings.epochs else steps * settings.batch_size
    texts = sum(embedded) + (rows * 3 * (3 if settings.uses_triplets else 1) if steps else 0)
    measured = min(NUM_MEASURED, len(run.data.train))  # To choose the distance, before the forecast.
    # A saved classifier has the embedding of one sentence more, to detect another encoder.
    assert found == [pytest.approx(texts - measured, abs=len(run.stages.validation) + 1)]


@pytest.mark.slow
@pytest.mark.parametrize("eval_fraction", [0, 0.2])
def test_no_time_of_a_part_includes_the_estimate_for_the_classifier(eval_fraction, bert, many, tmp_path, monkeypatch):
    running, found = [], []

    @contextmanager
    def timing(run, part):
        running.append(part)
        with timed(run, part):
            yield
        running.remove(part)

    def measured(*args, **options):
        found.append(list(running))
        return 0.0

    timed = PlannedRun.timing
    monkeypatch.setattr(PlannedRun, "timing", timing)
    monkeypatch.setattr("tercet.runs.classifier.seconds_to_fit", measured)
    settings = RunSettings(train="both", epochs=1, time_limit=1000, batch_size=8, samples_per_label=2, margin=0.3)
    train(many, tmp_path / "m", model=bert, device="cpu", settings=settings, eval_fraction=eval_fraction)
    assert found == [[], []]  # For the forecast, and for the number of steps.


@pytest.mark.parametrize(
    ("part", "seconds", "limit", "printed"),
    [
        ("encoder", 10.0, None, None),
        ("encoder", 600.0, None, "the whole run takes about 10 min"),
        ("encoder", 600.0, 300.0, "the whole run takes about 5 min"),
        ("both", 600.0, None, "the whole run takes about 10 min and the choice of the head"),
        ("both", 600.0, 300.0, "the whole run takes about 5 min"),
    ],
)
def test_the_forecast_is_logged_before_the_training(
    part, seconds, limit, printed, bert, many, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(forecast, "remaining_seconds", lambda run, seconds_per_text: seconds)
    caplog.set_level(logging.INFO, logger="tercet")
    settings = RunSettings(train=part, epochs=1, batch_size=8, samples_per_label=2, time_limit=limit)
    train(many, tmp_path / "m", model=bert, device="cpu", settings=settings)
    lines = re.findall("the whole run takes about .*", caplog.text)
    assert lines == ([] if printed is None else [printed])
    if printed:
        assert caplog.text.index(printed) < caplog.text.index("first step of the training")


@pytest.mark.parametrize(
    ("part", "seconds", "has_bfloat16", "suggested"),
    [
        ("encoder", 600.0, True, True),
        ("both", 600.0, True, True),
        ("head", 600.0, True, False),
        ("encoder", 600.0, False, False),
        ("encoder", 10.0, True, False),
    ],
)
def test_a_long_training_of_the_encoder_is_told_of_bfloat16_where_the_device_computes_in_it(
    part, seconds, has_bfloat16, suggested, bert, many, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(forecast, "remaining_seconds", lambda run, seconds_per_text: seconds)
    monkeypatch.setattr(forecast, "has_bfloat16", lambda device: has_bfloat16)
    caplog.set_level(logging.INFO, logger="tercet")
    settings = RunSettings(train=part, epochs=None if part == "head" else 1, batch_size=8, samples_per_label=2)
    train(many, tmp_path / "m", model=bert, device="cpu", settings=settings)
    assert ("with bf16=True, the training of the encoder usually takes less time" in caplog.text) == suggested
