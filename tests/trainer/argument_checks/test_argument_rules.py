"""Every training argument has a rule; what the trainer cannot do raises an error instead of being ignored."""

from dataclasses import fields

import pytest

from tercet import SentenceTransformerTrainingArguments
from tercet.errors import DataError
from tercet.trainer.argument_checks.fsdp import reads_fsdp
from tercet.trainer.argument_checks.rules import FREE, RESULT, UNSUPPORTED
from tests.trainer.helpers import make_arguments, make_trainer

# A value that is not the default, for each argument that is not supported.
OTHER_VALUES = {
    "label_smoothing_factor": 0.1, "neftune_noise_alpha": 5.0, "include_for_metrics": ["inputs"],
    "batch_eval_metrics": True, "use_liger_kernel": True, "liger_kernel_config": {"rope": True}, "use_cache": True,
    "length_column_name": "size", "label_names": ["topic"], "parallelism_config": {"tp_size": 2},
    "fsdp_config": {"min_num_params": 1}, "deepspeed": {"zero": 1},
    "router_mapping": {"text": "query"},
}  # fmt: skip


# Arguments that the lowest version of transformers that we support does not have, and those that the latest removed.
NEWER_THAN_LOWEST = {
    "activation_checkpointing", "activation_checkpointing_kwargs", "dataloader_in_order",
    "dataloader_multiprocessing_context",
}  # fmt: skip
OLDER_THAN_LATEST = {"logging_dir"}


def test_every_argument_has_exactly_one_rule():
    """A new version of transformers may add arguments: decide for each one."""
    names = [item.name for item in fields(SentenceTransformerTrainingArguments)]
    tables = [*RESULT, *FREE, *UNSUPPORTED]
    assert sorted(tables) == sorted({*names, *NEWER_THAN_LOWEST} - OLDER_THAN_LATEST)


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_an_argument_that_is_not_supported_raises_an_error(name, tmp_path):
    with pytest.raises(DataError, match=rf"^{name}=.* is not supported: .*; leave out {name}$"):
        make_arguments(tmp_path, **{name: OTHER_VALUES[name]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_steps": 0}, "max_steps must be at least 1, or -1 to train for num_train_epochs, got 0"),
        ({"num_train_epochs": 0}, "num_train_epochs must be above 0, got 0"),
        ({"num_train_epochs": float("nan")}, "num_train_epochs must be above 0, got nan"),
        ({"learning_rate": -1e-3}, "learning_rate must be at least 0, got -0.001"),
        ({"learning_rate": float("inf")}, "learning_rate must be at least 0, got inf"),
        ({"per_device_train_batch_size": 0}, "per_device_train_batch_size must be at least 1, got 0"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps must be at least 1, got 0"),
        ({"cross_batch_memory": 1.5}, "cross_batch_memory must be a whole number, got 1.5"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"seed": 2**32}, "seed must be below 4294967296, got 4294967296"),
        ({"data_seed": 0.5}, "data_seed must be a whole number, got 0.5"),
        ({"adam_beta1": 1.5}, "adam_beta1 must be below 1, got 1.5"),
        ({"adam_beta2": -0.1}, "adam_beta2 must be at least 0, got -0.1"),
        ({"lr_scheduler_type": "cosin"}, "unknown lr_scheduler_type 'cosin'; did you mean 'cosine'"),
        ({"optim": "adam"}, "unknown optim 'adam'; did you mean "),
        ({"eval_strategy": "step"}, "unknown eval_strategy 'step'; did you mean 'steps'"),
        ({"load_best_model_at_end": True}, "load_best_model_at_end=True needs evaluations, but eval_strategy is 'no'"),
        (
            {"load_best_model_at_end": True, "eval_strategy": "epoch", "save_strategy": "steps"},
            "needs a checkpoint at each evaluation, but eval_strategy is 'epoch' and save_strategy is 'steps'",
        ),
        ({"warmup_steps": -3}, "invalid training argument: "),
        ({"learning_rate": "1e-4"}, "learning_rate must be a number, got '1e-4'"),
        ({"max_steps": "3"}, "max_steps must be a whole number, got '3'"),
        ({"max_grad_norm": float("nan")}, "max_grad_norm must be at least 0, got nan"),
        ({"train_sampling_strategy": "group_by_length"}, "train_sampling_strategy='group_by_length' is not supported"),
        ({"train_sampling_strategy": "sequential"}, "batch_sampler='group_by_label' exclude each other"),
        ({"torch_empty_cache_steps": 2, "mini_batch_tokens": 9}, "has no effect with mini_batch_tokens"),
    ],
)
def test_values_without_effect_or_sense_raise_an_error(changes, message, tmp_path):
    with pytest.raises(DataError, match=message):
        make_arguments(tmp_path, **changes)


def test_an_evaluation_without_data_raises_an_error(bert, labelled, tmp_path):
    with pytest.raises(DataError, match="eval_strategy='epoch' needs data to evaluate on; pass eval_dataset or an ev"):
        make_trainer(bert, tmp_path, labelled, changes={"eval_strategy": "epoch"})


@pytest.mark.parametrize("mini_batch_tokens", [None, 20])
def test_the_number_of_tokens_is_counted(mini_batch_tokens, bert, labelled, tmp_path):
    changes = {"include_num_input_tokens_seen": "all", "max_steps": 2, "mini_batch_tokens": mini_batch_tokens}
    trainer = make_trainer(bert, tmp_path, labelled, changes=changes)
    trainer.train()
    lengths = trainer.model.token_counts(labelled["text"][:])
    assert 2 * 8 * min(lengths) <= trainer.state.num_input_tokens_seen <= 2 * 8 * max(lengths)


@pytest.mark.parametrize("value", [True, "full_shard", "full_shard auto_wrap", ["full_shard"], "True"])
def test_one_process_cannot_divide_a_model(value, tmp_path):
    with pytest.raises(DataError, match="fsdp=True needs several processes; start the training with `torchrun`"):
        make_arguments(tmp_path, fsdp=value)


@pytest.mark.parametrize("value", [None, False, "", [], "false"])
def test_a_model_is_not_divided_by_default(value, tmp_path):
    assert not make_arguments(tmp_path, fsdp=value).fsdp


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fsdp": "full_shard offload"}, "fsdp='full_shard offload' is not supported: .*; set fsdp=True$"),
        ({"fsdp": "hybrid_shard"}, "fsdp='hybrid_shard' is not supported"),
        ({"fsdp": True, "optim": "adafactor"}, "fsdp=True and optim='adafactor' exclude each other.*from 'adagrad', "),
        ({"fsdp": True, "torch_compile": True}, "fsdp=True and torch_compile=True exclude each other; leave out torch"),
        ({"fsdp": True, "fp16": True}, "fsdp=True and fp16=True exclude each other; set bf16, or leave out fsdp"),
        ({"fsdp": True, "auto_find_batch_size": True}, "auto_find_batch_size=True exclude .* set per_device_train_bat"),
    ],
)
def test_what_a_divided_model_cannot_do_is_an_error(changes, message, tmp_path):
    with pytest.raises(DataError, match=message):
        reads_fsdp({**vars(make_arguments(tmp_path)), **changes}, processes=2)
