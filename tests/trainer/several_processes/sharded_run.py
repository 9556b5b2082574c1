"""Training runs of which `test_sharding` starts one or two processes: alone, with DDP, and sharded with `fsdp=True`."""

import copy
import os
from pathlib import Path

import peft
import torch
from datasets import Dataset
from transformers import TrainerCallback

from tercet import SentenceTransformer, SentenceTransformerTrainer, losses
from tercet._distributed import launched_world_size, leave_group
from tercet.encoder import Dense, StaticEmbedding
from tercet.errors import DataError
from tests.conftest import TOPICS
from tests.trainer.helpers import flat_weights, logged_losses, make_arguments, turn_off_dropout

# Sentences of very different lengths: the processes have different numbers of chunks, and of groups to pad.
TEXTS = [" ".join([text] * (1 + 3 * (row % 2))) for topic in TOPICS.values() for row, text in enumerate(topic)]
LABELS = [label for label, topic in enumerate(TOPICS.values()) for _ in topic]
# For each model: how to change the encoder after loading, and the arguments of the run.
KINDS = {
    "bert": {},
    "mpnet": {},
    "padded": {},
    "head": {},
    "adapter": {},
    "static": {},
    "chunks": {"mini_batch_tokens": 20},
    "chunks of mpnet": {"mini_batch_tokens": 20},
    "accumulated": {"gradient_accumulation_steps": 2},
    "checkpointed": {"gradient_checkpointing": True},
    "memory": {"cross_batch_memory": 12, "cross_batch_memory_warmup": 1, "learning_rate_mapping": {"embeddings": 0.01}},
    "sgd": {"optim": "sgd", "max_grad_norm": 0.0},
    "adamw": {"optim": "adamw_torch"},
    "adagrad": {"optim": "adagrad"},
    "rmsprop": {"optim": "rmsprop"},
}
STEPS = 4
SAVING = {"fsdp": True, "save_strategy": "steps", "save_steps": 2}


class WatchParts(TrainerCallback):
    """Count the numbers of the weights, and of the state of the optimizer, that this process has after a step."""

    def on_step_end(self, args, state, control, model=None, optimizer=None, **kwargs):
        """Store the two counts."""
        states = [value for values in optimizer.state.values() for value in values.values() if value.ndim]
        self.weights, self.state = (sum(map(_size_here, values)) for values in (model.parameters(), states))


def _size_here(value):
    return (value.to_local() if hasattr(value, "to_local") else value).numel()


class EndAtCheckpoint(TrainerCallback):
    """End the process after its first checkpoint, as if it was killed."""

    def on_save(self, args, state, control, **kwargs):
        """End."""
        os._exit(0)


def evaluate_in_the_first(model) -> dict[str, float]:
    """Use the model in one process only, as an evaluator of the user may do."""
    return {"size": float(len(model.encode(TEXTS))) if os.environ.get("RANK", "0") == "0" else 0.0}


def load(kind: str, folders: dict[str, Path], *, dropout: bool = False) -> SentenceTransformer:
    """Return the model of a kind, in float64 without dropout, so that rounding does not hide a difference."""
    model = SentenceTransformer(folders["mpnet" if "mpnet" in kind else "bert"], device="cpu")
    torch.manual_seed(int(os.environ.get("RANK", "0")))  # Only the first process has the right weights.
    if kind == "padded":
        model.transformer.auto_model.set_attn_implementation("eager")  # Such a model does not run packed.
    if kind == "head":
        model.append(Dense(32, 12))
    if kind == "adapter":
        model.add_adapter(peft.LoraConfig(r=2, target_modules=["query"], init_lora_weights=False))
    if kind == "static":
        model = SentenceTransformer(modules=[StaticEmbedding(model.tokenizer, embedding_dim=9)], device="cpu")
    if dropout:
        return model
    turn_off_dropout(model)
    return model.double()


def make_trainer(kind: str, model: SentenceTransformer, folder: Path, **changes) -> SentenceTransformerTrainer:
    """Return a trainer of a model of this kind."""
    arguments = make_arguments(
        folder, **{
            "per_device_train_batch_size": 8 // launched_world_size(), "max_steps": STEPS, "use_cpu": True,
            "max_grad_norm": 0.1, "eval_strategy": "steps", "eval_steps": 2, **KINDS[kind], **changes,
        },
    )  # fmt: skip
    data = Dataset.from_dict({"text": TEXTS, "label": LABELS})
    return SentenceTransformerTrainer(
        model, arguments, data.select(range(13)), eval_dataset=data, loss=losses.BatchAllTripletLoss(model),
        callbacks=[WatchParts()], evaluator=evaluate_in_the_first,
    )  # fmt: skip


def compare(folders: dict[str, Path], output: Path) -> None:
    """Train a model of each kind, with two processes once with DDP and once sharded, and write what came out."""
    results = {}
    for kind in KINDS:
        for sharded in [False, True][: launched_world_size()]:
            model = load(kind, folders)
            trainer = make_trainer(kind, model, output, fsdp=sharded)
            trainer.train()
            watch = next(item for item in trainer.callback_handler.callbacks if isinstance(item, WatchParts))
            history = trainer.state.log_history
            results[kind, sharded] = {
                "losses": logged_losses(trainer),
                "norms": [entry["grad_norm"] for entry in history if "grad_norm" in entry],
                "evaluations": [entry["eval_loss"] for entry in history if "eval_loss" in entry],
                "weights": flat_weights(model),
                "parts": (watch.weights, watch.state),
                "class": type(model).__name__,
            }
    torch.save(results, output / f"rank{os.environ.get('RANK', '0')}.pt")
    leave_group()


def interrupt(folders: dict[str, Path], output: Path) -> None:
    """Train a sharded model with dropout, until its first checkpoint is written."""
    trainer = make_trainer("head", load("head", folders, dropout=True), output / "interrupted", **SAVING)
    trainer.add_callback(EndAtCheckpoint())
    trainer.train()


def resume(folders: dict[str, Path], output: Path) -> None:
    """Resume the run of `interrupt`, and a sharded run without sharding. Write the weights, and those of whole runs."""
    results = {}

    def train(name: str, folder: str, checkpoint=None, *, dropout=False, **changes):
        model = load("head", folders, dropout=dropout)
        trainer = make_trainer("head", model, output / folder, **{**SAVING, **changes})
        trainer.train(resume_from_checkpoint=checkpoint)
        states = [value for values in trainer.optimizer.state.values() for value in values.values()]
        files = {
            (value.to_local() if hasattr(value, "to_local") else value).untyped_storage().filename for value in states
        }
        assert files == {None}, "the optimizer reads from the file of the checkpoint"
        results[name] = flat_weights(model)
        return trainer

    train("resumed", "interrupted", True, dropout=True)
    train("uninterrupted", "uninterrupted", dropout=True)
    train("ddp", "ddp", fsdp=False).save_model(str(output / "of ddp"))
    train("sharded", "sharded").save_model(str(output / "of sharded"))
    train("resumed by ddp", "sharded", str(output / "sharded" / "checkpoint-2"), fsdp=False)
    train("resumed from ddp", "ddp", str(output / "ddp" / "checkpoint-2"))
    for name, sharded in (("ddp twice", False), ("sharded twice", True)):
        trainer = train(name, name, fsdp=sharded)
        with torch.no_grad():
            for value in trainer.model.parameters():
                value.mul_(0.5)
        trainer.train()  # It continues with these weights, and with its optimizer.
        results[name] = flat_weights(trainer.model)
    copy.deepcopy(trainer.model)  # Nothing of FSDP is left, which cannot be copied.
    torch.save(results, output / f"rank{os.environ['RANK']}.pt")
    leave_group()


def pass_an_optimizer(folders: dict[str, Path], output: Path) -> None:
    """Train with an optimizer of the user, and print the error."""
    model = load("bert", folders)
    trainer = make_trainer("bert", model, output, fsdp=True)
    trainer.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)  # as the argument `optimizers` does
    try:
        trainer.train()
    except DataError as error:
        print(error)
    leave_group()
