"""The number of steps of a run, and the time that is logged for them."""

import logging
import re
import time

import pytest
from datasets import Dataset

from tercet import SentenceTransformer
from tercet.runs import RunSettings, train
from tercet.runs.time_limit import plan_steps
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
