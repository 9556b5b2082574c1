"""Rules for every training argument: does it decide the result of a run, and is it supported?

Each field of `SentenceTransformerTrainingArguments` is in exactly one of three tables, which a test checks:

    RESULT       the argument decides the trained weights; a resumed run must have the same value
    FREE         the argument may differ when a run is resumed: files, logs, evaluations, speed
    UNSUPPORTED  the argument would be ignored or fail during the training; it must keep its default value
"""

import math
from numbers import Real
from typing import Any

from transformers.trainer_utils import IntervalStrategy, SaveStrategy, SchedulerType
from transformers.training_args import OptimizerNames, trainer_log_levels

from tercet.errors import DataError, did_you_mean, listed
from tercet.trainer.argument_checks.value_types import check_types

RESULT = frozenset({
    "num_train_epochs", "max_steps", "learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps",
    "optim", "optim_args", "optim_target_modules", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon",
    "gradient_accumulation_steps", "max_grad_norm", "bf16", "fp16", "seed", "data_seed", "dataloader_drop_last",
    "train_sampling_strategy", "per_device_train_batch_size", "auto_find_batch_size", "batch_sampler",
    "samples_per_label", "neighbor_labels", "cross_batch_memory", "cross_batch_memory_warmup", "prompts",
    "multi_dataset_batch_sampler", "learning_rate_mapping", "router_mapping", "stream_buffer_size", "train_head",
})  # fmt: skip

FREE = frozenset({
    # Files and the hub. `hub_*` have no effect without `push_to_hub`.
    "output_dir", "save_strategy", "save_steps", "save_total_limit", "save_on_each_node", "save_only_model",
    "enable_jit_checkpoint", "hub_token", "hub_private_repo", "hub_model_id", "hub_strategy", "hub_always_push",
    "push_to_hub", "hub_revision", "resume_from_checkpoint", "ignore_data_skip",
    "restore_callback_states_from_checkpoint",
    # Logs.
    "logging_strategy", "logging_steps", "logging_first_step", "log_on_each_node", "logging_nan_inf_filter",
    "include_num_input_tokens_seen", "log_level", "log_level_replica", "disable_tqdm", "report_to", "run_name",
    "project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id", "skip_memory_metrics", "debug",
    # Evaluations.
    "eval_strategy", "eval_steps", "eval_delay", "eval_on_start", "per_device_eval_batch_size", "prediction_loss_only",
    "eval_accumulation_steps", "eval_do_concat_batches", "eval_use_gather_object", "bf16_full_eval", "fp16_full_eval",
    "load_best_model_at_end", "metric_for_best_model", "greater_is_better",
    # Speed, memory and devices. They change results by rounding errors, or by other random numbers for dropout.
    "mini_batch_tokens", "activation_checkpointing", "activation_checkpointing_kwargs", "gradient_checkpointing",
    "gradient_checkpointing_kwargs", "torch_compile", "torch_compile_backend", "torch_compile_mode",
    "torch_empty_cache_steps", "tf32", "full_determinism", "use_cpu", "local_rank", "average_tokens_across_devices",
    "accelerator_config", "dataloader_num_workers", "dataloader_pin_memory", "dataloader_persistent_workers",
    "dataloader_prefetch_factor", "dataloader_multiprocessing_context", "dataloader_in_order",
    "ddp_find_unused_parameters", "ddp_bucket_cap_mb", "ddp_broadcast_buffers", "ddp_static_graph", "ddp_backend",
    "ddp_timeout", "fsdp",
    # Read by scripts, or set by this class.
    "do_train", "do_eval", "do_predict", "remove_unused_columns", "warmup_ratio",
})  # fmt: skip

# For each argument: why it is not supported.
UNSUPPORTED: dict[str, str] = {
    "label_smoothing_factor": "a triplet loss has no class probabilities to smooth",
    "neftune_noise_alpha": "a batch is packed into one row of tokens, for which the noise would have the wrong size",
    "include_for_metrics": "there is no compute_metrics; pass an evaluator to the trainer, which receives the model",
    "batch_eval_metrics": "there is no compute_metrics; pass an evaluator to the trainer, which receives the model",
    "use_liger_kernel": "Liger kernels need a model class of transformers",
    "liger_kernel_config": "Liger kernels need a model class of transformers",
    "use_cache": "an embedding model has no cache of keys and values",
    "length_column_name": "batches are not grouped by length, because packing needs no padding",
    "label_names": "the trainer finds the label column itself; name it 'label'",
    "parallelism_config": "only data-parallel training (torchrun) is supported",
    "fsdp_config": "fsdp=True shards the layers of the encoder over all processes, and has no settings",
    "deepspeed": "only data-parallel training (torchrun) is supported",
}

# For each number: the smallest valid value, and whether this value itself is valid.
_MINIMUM: dict[str, tuple[float, bool]] = {
    "num_train_epochs": (0, False),
    "per_device_train_batch_size": (1, True),
    "per_device_eval_batch_size": (1, True),
    "gradient_accumulation_steps": (1, True),
    "learning_rate": (0, True),
    "weight_decay": (0, True),
    "adam_beta1": (0, True),
    "adam_beta2": (0, True),
    "adam_epsilon": (0, False),
    "seed": (0, True),
    "data_seed": (0, True),
    "max_grad_norm": (0, True),
    "samples_per_label": (1, True),
    "neighbor_labels": (0, True),
    "mini_batch_tokens": (1, True),
    "cross_batch_memory": (0, True),
    "cross_batch_memory_warmup": (0, True),
    "stream_buffer_size": (1, True),
    "logging_steps": (0, True),
    "eval_steps": (0, True),
    "save_steps": (0, True),
    "save_total_limit": (0, True),
    "eval_delay": (0, True),
    "eval_accumulation_steps": (1, True),
    "torch_empty_cache_steps": (1, True),
    "dataloader_num_workers": (0, True),
    "dataloader_prefetch_factor": (1, True),
}
# For each number: the value that it must be below.
_BELOW = {"adam_beta1": 1.0, "adam_beta2": 1.0, "seed": 2.0**32, "data_seed": 2.0**32}
# For each argument with a choice: its values.
_CHOICES: dict[str, tuple[str, ...]] = {
    "lr_scheduler_type": tuple(choice.value for choice in SchedulerType),
    "optim": tuple(choice.value for choice in OptimizerNames),
    "eval_strategy": tuple(choice.value for choice in IntervalStrategy),
    "logging_strategy": tuple(choice.value for choice in IntervalStrategy),
    "save_strategy": tuple(choice.value for choice in SaveStrategy),
    "log_level": tuple(trainer_log_levels),
    "log_level_replica": tuple(trainer_log_levels),
}
# Arguments that must be whole numbers.
_INTEGERS = (
    "seed", "data_seed", "max_steps", "per_device_train_batch_size", "per_device_eval_batch_size",
    "gradient_accumulation_steps", "samples_per_label", "mini_batch_tokens", "cross_batch_memory",
    "stream_buffer_size", "save_total_limit", "eval_accumulation_steps", "torch_empty_cache_steps",
    "dataloader_num_workers", "dataloader_prefetch_factor",
)  # fmt: skip


def check_supported(values: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Check that no argument has a value that the trainer would ignore or that would fail during the training.

    Args:
        values: the arguments by name, as the user passed them.
        defaults: their default values.

    Raises:
        DataError: an argument is not supported, a number is too small, a value is of another type or an unknown choice,
            or two arguments exclude each other.
    """
    for name, reason in UNSUPPORTED.items():
        value = values[name]
        if value != defaults[name] and value not in (None, False, 0, "", [], {}):
            raise DataError(f"{name}={value!r} is not supported: {reason}; leave out {name}")
    for name, (minimum, included) in _MINIMUM.items():
        value = values[name]
        if value is None:
            continue
        if not _is_number(value):
            raise DataError(f"{name} must be a number, got {value!r}")
        fits = value >= minimum if included else value > minimum
        if not fits or not math.isfinite(value):
            raise DataError(f"{name} must be {'at least' if included else 'above'} {minimum}, got {value}")
        if name in _BELOW and value >= _BELOW[name]:
            raise DataError(f"{name} must be below {_BELOW[name]:.0f}, got {value}")
    for name in _INTEGERS:
        value = values[name]
        if value is not None and (not _is_number(value) or isinstance(value, bool) or value != int(value)):
            raise DataError(f"{name} must be a whole number, got {value!r}")
    if values["max_steps"] < -1 or values["max_steps"] == 0:
        raise DataError(f"max_steps must be at least 1, or -1 to train for num_train_epochs, got {values['max_steps']}")
    for name, choices in _CHOICES.items():
        _check_choice(name, getattr(values[name], "value", values[name]), choices)
    check_types(values, defaults)
    _check_best_model(values)
    _check_sampling(values["train_sampling_strategy"], values["batch_sampler"], values["neighbor_labels"])
    if values["torch_empty_cache_steps"] is not None and values["mini_batch_tokens"] is not None:
        raise DataError(
            "torch_empty_cache_steps has no effect with mini_batch_tokens; leave out torch_empty_cache_steps"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, Real)


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise DataError(
            f"unknown {name} {value!r}; {did_you_mean(str(value), choices)}choose from {listed(choices, 12)}"
        )


def _check_best_model(values: dict[str, Any]) -> None:
    """Raise `DataError` if the best model is to be loaded, but an evaluation has no checkpoint."""
    if not values["load_best_model_at_end"]:
        return
    evaluates, saves = (getattr(values[name], "value", values[name]) for name in ("eval_strategy", "save_strategy"))
    if evaluates == "no":
        raise DataError(
            "load_best_model_at_end=True needs evaluations, but eval_strategy is 'no'; set eval_strategy and "
            "save_strategy to 'epoch' or 'steps'"
        )
    if saves not in (evaluates, "best"):
        raise DataError(
            f"load_best_model_at_end=True needs a checkpoint at each evaluation, but eval_strategy is {evaluates!r} "
            f"and save_strategy is {saves!r}; set both to the same, or save_strategy to 'best'"
        )


def _check_sampling(strategy: Any, batch_sampler: Any, neighbor_labels: float) -> None:
    strategy, batch_sampler = (getattr(value, "value", value) for value in (strategy, batch_sampler))
    if strategy not in ("random", "sequential"):
        raise DataError(
            f"train_sampling_strategy={strategy!r} is not supported: packing needs no batches of equal length; leave "
            "out train_sampling_strategy"
        )
    if strategy != "random" and batch_sampler != "batch_sampler":
        raise DataError(
            f"train_sampling_strategy={strategy!r} and batch_sampler={batch_sampler!r} exclude each other; leave out "
            "one of them"
        )
    if neighbor_labels > 1:
        raise DataError(f"neighbor_labels must be at most 1, got {neighbor_labels}")
    if neighbor_labels and batch_sampler != "group_by_label":
        raise DataError(
            f"neighbor_labels={neighbor_labels} has no effect on random batches; set batch_sampler='group_by_label', "
            "or leave out neighbor_labels"
        )
