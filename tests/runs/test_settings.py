"""Settings of a run: limits, descriptions, import without torch."""

import logging
import subprocess
import sys
from dataclasses import fields

import pytest

from tercet.errors import DataError
from tercet.runs import RunSettings
from tercet.runs.limits import check_eval_fraction
from tercet.runs.settings import ENCODER_SETTINGS, describe
from tests.child import ENVIRONMENT


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs must be above 0, got 0"),
        ({"epochs": float("inf")}, "epochs must be above 0, got inf"),
        ({"max_steps": 0}, "max_steps must be at least 1, got 0"),
        ({"learning_rate": 0}, "learning_rate must be above 0"),
        ({"warmup_ratio": 1}, "warmup_ratio must be at least 0 and below 1"),
        ({"seed": -1}, "seed must be from 0 to 4294967295, got -1"),
        ({"mini_batch_tokens": 0}, "mini_batch_tokens must be at least 1"),
        ({"cross_batch_memory": -1}, "cross_batch_memory must be at least 0"),
        ({"save_every": 0}, "save_every must be at least 1"),
        ({"keep": 0}, "keep must be at least 1"),
        ({"eval_steps": 0}, "eval_steps must be at least 1"),
        ({"max_seq_length": 0}, "max_seq_length must be at least 1, got 0"),
        ({"lora": True, "lora_rank": 0}, "lora_rank must be at least 1, got 0"),
        ({"dimension": 8, "train": "encoder"}, "dimension=8 is that of the linear layer, but train='encoder' trains"),
        ({"time_limit": 60, "train": "head"}, "time_limit=60 limits the steps of the encoder, but train='head' does"),
        ({"lora_rank": 8}, "lora_rank=8 needs lora=True"),
        ({"lora": True, "train": "head"}, "lora=True adapts the encoder, but train='head' does not train it"),
        (
            {"fsdp": True, "train": "head"},
            "fsdp=True shards the encoder, but train='head' does not train it; leave out",
        ),
        (
            {"fsdp": True, "time_limit": 60},
            "time_limit and fsdp=True exclude each other, because the time of a step is",
        ),
        ({"fsdp": True}, "fsdp=True needs several processes; start the training with `torchrun`"),
        (
            {"samples_per_label": 1},
            "samples_per_label must be at least 2, got 1: a single sentence of a label has no positive",
        ),
        ({"batch_size": 9}, "batch_size must be a multiple of samples_per_label=4 and at least 8, got 9"),
        ({"batch_size": 4}, "batch_size must be a multiple of samples_per_label=4"),
        ({"loss": "triplet", "batch_size": 0}, "batch_size must be at least 1"),
        ({"loss": "hardest"}, "unknown loss 'hardest'"),
        ({"distance": "dot"}, "unknown distance 'dot'"),
        ({"margin": [0.3, 0.15]}, "margin has 2 values, one for each level of nested labels, but label_levels is not"),
        ({"margin": [0.3, -1], "label_levels": "/"}, "the margin must be a finite number of at least 0, got -1"),
        ({"margin": []}, "margin is an empty list"),
    ],
)
def test_values_that_no_run_can_use(settings, message):
    with pytest.raises(DataError) as caught:
        RunSettings(**settings).check()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "settings", [{"learning_rate": "x"}, {"seed": "a"}, {"batch_size": None}, {"epochs": True}, {"max_seq_length": []}]
)
def test_values_that_are_no_numbers(settings):
    with pytest.raises(DataError, match=f"{next(iter(settings))} must be a number, got"):
        RunSettings(**settings).check()
    with pytest.raises(DataError, match="eval_fraction must be a number, got '0.2'"):
        check_eval_fraction("0.2")


def test_the_defaults_and_an_odd_batch_of_triplets_are_valid():
    RunSettings().check()
    RunSettings(loss="triplet", batch_size=9).check()


def test_every_setting_has_a_description():
    for setting in fields(RunSettings):
        assert describe(setting.name).endswith(".")


def test_runs_and_comparisons_are_imported_without_torch_and_numpy():
    code = "import sys, tercet.runs, tercet.comparison; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, check=True)


def test_every_setting_of_the_encoder_is_reset():
    """The others are those of the data, of the head, and of the size of batches, by which the data are checked."""
    used = {
        "train",
        "dimension",
        "label_levels",
        "multi_label",
        "jaccard_weights",
        "seed",
        "max_seq_length",
        "report_to",
    }
    assert {item.name for item in fields(RunSettings)} - set(ENCODER_SETTINGS) == used | {
        "batch_size",
        "samples_per_label",
    }


def test_settings_that_a_run_does_not_use_are_reset(caplog):
    given = RunSettings(train="head", loss="batch-hard", margin=0.9, epochs=9, learning_rate=0.1, batch_size=8, seed=3)
    with caplog.at_level(logging.WARNING):
        assert given.without_unused() == RunSettings(train="head", batch_size=8, seed=3)
    assert caplog.messages == [
        "loss='batch-hard', margin=0.9, epochs=9, learning_rate=0.1 are not used, because train='head' does not train "
        "the encoder"
    ]
    caplog.clear()
    triplets = RunSettings(loss="triplet", samples_per_label=8, neighbor_labels=0.9, margin=0.9)
    assert triplets.without_unused() == RunSettings(loss="triplet", margin=0.9)
    assert caplog.messages == [
        "samples_per_label=8, neighbor_labels=0.9 are not used, because loss='triplet' takes triplets, which have no "
        "labels"
    ]
    caplog.clear()
    assert RunSettings(max_steps=4, epochs=9).without_unused() == RunSettings(max_steps=4)
    assert caplog.messages == ["epochs=9 is not used, because max_steps=4 sets the number of steps"]
    caplog.clear()
    for settings in (RunSettings(train="head", dimension=8), RunSettings(train="both", margin=0.9)):
        assert settings.without_unused() == settings
    assert not caplog.messages
