"""Trainers on tiny encoders, for the tests of the trainer and of what is built on it."""

import torch
from torch import nn

from tercet import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments, losses

_MARGINS = {losses.BatchHardSoftMarginTripletLoss: {}, losses.TripletLoss: {"triplet_margin": 0.3}}


def make_arguments(folder, **changes):
    """Arguments of a run of four steps on P×K batches of 8."""
    defaults = {
        "per_device_train_batch_size": 8, "batch_sampler": "group_by_label", "samples_per_label": 2, "max_steps": 4,
        "learning_rate": 1e-3, "report_to": "none", "disable_tqdm": True, "seed": 1, "logging_steps": 1,
        "save_strategy": "no",
    }  # fmt: skip
    return SentenceTransformerTrainingArguments(str(folder), **{**defaults, **changes})


def make_trainer(encoder, folder, data, loss=losses.BatchSemiHardTripletLoss, *, changes=None, **options):
    """A trainer of the encoder in the folder `encoder`, with a loss of margin 0.3.

    `changes` are arguments of the run, `options` are arguments of the trainer.
    """
    model = SentenceTransformer(encoder, device="cpu")
    arguments = make_arguments(folder, **(changes or {}))
    made_loss = loss(model, **_MARGINS.get(loss, {"margin": 0.3}))
    return SentenceTransformerTrainer(model=model, args=arguments, train_dataset=data, loss=made_loss, **options)


def flat_weights(model):
    """All parameters of a model as one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def turn_off_dropout(model):
    """Set the probability of every dropout layer to 0."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def logged_losses(trainer):
    """The losses in the log of a trainer."""
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


class OwnLayout(torch.optim.AdamW):
    """An optimizer whose state has other names than those of torch."""

    def state_dict(self):
        """Return the state."""
        return {"own": super().state_dict()}

    def load_state_dict(self, state_dict):
        """Take a state."""
        super().load_state_dict(state_dict["own"])
