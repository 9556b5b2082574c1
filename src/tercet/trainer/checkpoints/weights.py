"""Load weights, and check that they are finite."""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from tercet.encoder.pretrained.weights import is_finite
from tercet.encoder.sentence_transformer import SentenceTransformer
from tercet.errors import DataError, counted, is_or_are


def load_weights(model: SentenceTransformer, folder: str | Path) -> None:
    """Load the weights of a saved model into a model with the same modules.

    Raises:
        DataError: the folder holds another model.
    """
    saved = SentenceTransformer(folder, device="cpu", trust_remote_code=model.trust_remote_code)
    try:
        model.load_state_dict(saved.state_dict())
    except RuntimeError as error:
        raise DataError(
            f"{folder} holds another model: {' '.join(str(error).split())[:300]}; pass the model of the run that wrote "
            "the checkpoint"
        ) from None


def check_finite(model: nn.Module, step: int, remaining: Callable[[], str]) -> None:
    """Check that training has not made a weight NaN or infinite. Call it before the weights are saved.

    Args:
        model: the model.
        step: the number of steps so far.
        remaining: returns a clause about the checkpoints that are left, for the message.

    Raises:
        DataError: a weight is NaN or infinite.
    """
    broken = [name for name, value in model.named_parameters() if not is_finite(value.detach())]
    if broken:
        raise DataError(
            f"the training diverged: by step {step}, {counted(len(broken), 'weight')} of the model "
            f"{is_or_are(len(broken))} NaN or infinite, such as {broken[0]}; these weights are not saved, and "
            f"{remaining()}; use a lower learning_rate, a longer warm-up "
            "or max_grad_norm=1"
        )
