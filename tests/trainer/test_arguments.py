"""The arguments of a run: defaults, invalid values, and a warning about GPUs that are not used."""

import json

import pytest
from transformers import HfArgumentParser

from tercet import SentenceTransformerTrainingArguments
from tercet._events import WarningKind, collect_warnings
from tercet.data.batch_samplers import DefaultBatchSampler
from tercet.errors import DataError
from tercet.trainer import BatchSamplers
from tests.trainer.helpers import make_arguments


def test_the_defaults_are_those_that_the_documentation_states(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = SentenceTransformerTrainingArguments()
    assert arguments.output_dir == "tmp_trainer"
    assert (arguments.num_train_epochs, arguments.per_device_train_batch_size) == (3, 8)
    assert (arguments.learning_rate, arguments.lr_scheduler_type) == (5e-5, "linear")
    assert (arguments.save_strategy, arguments.save_steps) == ("steps", 500)
    assert (arguments.batch_sampler, arguments.samples_per_label) == ("batch_sampler", 4)
    assert arguments.mini_batch_tokens is None
    assert (arguments.cross_batch_memory, arguments.cross_batch_memory_warmup) == (0, 0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mini_batch_tokens": 0}, "mini_batch_tokens must be at least 1, got 0"),
        ({"cross_batch_memory": -1}, "cross_batch_memory must be at least 0, got -1"),
        ({"cross_batch_memory_warmup": -0.5}, "cross_batch_memory_warmup must be at least 0, got -0.5"),
        ({"accelerator_config": {"split_batches": True}}, "leave out dispatch_batches and split_batches"),
        (
            {"batch_sampler": "random"},
            "unknown batch_sampler 'random'; choose one of 'batch_sampler', 'no_duplicates', 'no_duplicates_hashed'",
        ),
        (
            {"multi_dataset_batch_sampler": "x"},
            "unknown multi_dataset_batch_sampler 'x'; choose one of 'round_robin', ",
        ),
        ({"warmup_ratio": 0.1, "warmup_steps": 5}, "warmup_ratio=0.1 and warmup_steps=5 exclude each other"),
        ({"warmup_ratio": 10}, "warmup_ratio must be a number of at least 0 and below 1, got 10"),
        (
            {"router_mapping": {"text": "query", "first": {"text": "query"}}},
            "router_mapping must give the task of each",
        ),
        ({"router_mapping": "text"}, "router_mapping is no JSON object"),
        ({"learning_rate_mapping": {"(": 1e-3}}, r"learning_rate_mapping: '\(' is no regular expression"),
        ({"learning_rate_mapping": {"a": "b"}}, "learning_rate_mapping: the rate of 'a' must be at least 0, got 'b'"),
        (
            {"batch_sampler": "no_duplicates", "neighbor_labels": 0.5},
            "neighbor_labels=0.5 has no effect on random batches",
        ),
    ],
)
def test_invalid_arguments_raise_an_error(changes, message, tmp_path):
    with pytest.raises(DataError, match=message):
        make_arguments(tmp_path, **changes)


def test_samples_per_label_without_its_batches_is_a_warning(tmp_path):
    with collect_warnings() as warnings:
        make_arguments(tmp_path, samples_per_label=2, batch_sampler="no_duplicates")
    (warning,) = warnings
    assert warning.kind == WarningKind.UNUSED_ARGUMENT
    assert warning.message.startswith("samples_per_label=2 has no effect with batch_sampler='no_duplicates'; to use it")
    with collect_warnings() as warnings:
        make_arguments(tmp_path, samples_per_label=2, batch_sampler="group_by_label")
        make_arguments(tmp_path, samples_per_label=4, batch_sampler="batch_sampler")
    assert not warnings


def test_a_run_on_one_of_several_gpus_warns(tmp_path, monkeypatch):
    monkeypatch.setattr(SentenceTransformerTrainingArguments, "n_gpu", property(lambda self: 4))
    with collect_warnings() as warnings:
        make_arguments(tmp_path)
    (warning,) = warnings
    assert warning.kind == WarningKind.UNUSED_GPUS
    assert (
        "uses only one of 4 GPUs; to use all of them, start it with `torchrun --nproc-per-node 4 train.py`"
        in warning.message
    )


def test_warmup_ratio_sets_warmup_steps_with_a_warning(tmp_path):
    with collect_warnings() as warnings:
        arguments = make_arguments(tmp_path, warmup_ratio=0.1)
        assert make_arguments(tmp_path, warmup_ratio=0.0, warmup_steps=7).warmup_steps == 7
    assert arguments.warmup_steps == 0.1
    assert arguments.get_warmup_steps(200) == 20
    (warning,) = warnings
    assert warning.kind == WarningKind.RENAMED_ARGUMENT
    assert "warmup_ratio=0.1 is used as warmup_steps=0.1; pass warmup_steps" in warning.message


def test_a_class_or_function_as_batch_sampler_is_written_by_its_name(tmp_path):
    arguments = make_arguments(tmp_path, batch_sampler=DefaultBatchSampler, multi_dataset_batch_sampler=make_arguments)
    assert json.loads(arguments.to_json_string())["batch_sampler"] == "DefaultBatchSampler"
    for sampler in (BatchSamplers.NO_DUPLICATES, "no_duplicates"):
        assert make_arguments(tmp_path, batch_sampler=sampler).batch_sampler == BatchSamplers.NO_DUPLICATES


def test_arguments_are_read_from_a_command_line(tmp_path):
    parser = HfArgumentParser(SentenceTransformerTrainingArguments)
    (arguments,) = parser.parse_args_into_dataclasses([
        "--output_dir", str(tmp_path), "--batch_sampler", "group_by_label", "--prompts", "query: ", "--use_cpu",
        "--learning_rate_mapping", '{"^1": 0.01}', "--report_to", "none",
    ])  # fmt: skip
    assert arguments.batch_sampler.value == "group_by_label"
    assert arguments.prompts == "query: "
    assert arguments.learning_rate_mapping == {"^1": 0.01}


def test_dictionaries_may_be_json_texts(tmp_path):
    arguments = make_arguments(tmp_path, prompts='{"text": "a "}', router_mapping='{"first": {"text": "query"}}')
    assert (arguments.prompts, arguments.router_mapping) == ({"text": "a "}, {"first": {"text": "query"}})
    assert make_arguments(tmp_path, prompts="{query} ").prompts == "{query} "


def test_sharding_by_the_launcher_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(DataError, match="ACCELERATE_USE_FSDP asks accelerate to shard the model.*; set fsdp=True"):
        make_arguments(tmp_path)
