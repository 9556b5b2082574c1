"""Change a model as the settings of a run require, before it is measured and trained."""

import logging
from pathlib import Path

import torch

from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError
from tercet.heads.training import check_new_dimension
from tercet.runs.settings import DEFAULT_LORA_RANK, RunSettings

logger = logging.getLogger(__name__)


def change_model(model: SentenceTransformer, settings: RunSettings, *, seed: int | None = None) -> None:
    """Set `max_seq_length` of the model, and add a LoRA adapter, if `settings` has them. Check the new `dimension`.

    The adapter starts as the identity, so that the embeddings do not change.

    Args:
        model: the model, which is changed in place.
        settings: the settings of the run.
        seed: the seed of the weights of the adapter; None takes that of `settings`.

    Raises:
        ModelError: `max_seq_length` is above the limit of the model, or leaves no room for a word.
        DataError: the model has an adapter, or it was not loaded from a folder or the hub.
        EmbeddingError: `dimension` is above that of the embeddings.
    """
    check_new_dimension(settings.dimension, model.get_sentence_embedding_dimension())
    if settings.max_seq_length is not None:
        model.max_seq_length = settings.max_seq_length
    if settings.lora:
        _add_lora(model, settings.lora_rank or DEFAULT_LORA_RANK, settings.seed if seed is None else seed)


def _add_lora(model: SentenceTransformer, rank: int, seed: int) -> None:
    from peft import LoraConfig

    auto_model = model.transformer.auto_model
    if getattr(auto_model, "peft_config", None):
        raise DataError("lora=True needs a model without an adapter, but this one has one; pass its base model")
    base = getattr(auto_model, "name_or_path", "")
    if not base:
        raise DataError(
            "lora=True needs a model from a folder or the hub, because the saved adapter names it; save the model "
            "first, and pass its folder"
        )
    if Path(base).is_dir():  # The adapter may be loaded in another current folder.
        auto_model.name_or_path = str(Path(base).resolve())
    # The pooler is not used, so an adapter there would get no gradient.
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", exclude_modules=r".*pooler.*")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.add_adapter(config)
    counts = [value.numel() for value in model.parameters() if value.requires_grad]
    total = sum(value.numel() for value in model.parameters())
    logger.info(
        f"LoRA adapter of rank {rank}: {sum(counts):,} of {total:,} weights are trained ({sum(counts) / total:.1%})"
    )
