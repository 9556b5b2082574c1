"""Save a model with its training record, write checkpoints, and resume from them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers.trainer import TRAINING_ARGS_NAME

from tercet._distributed import is_first_process
from tercet._files import as_path, atomic_file, checkpoint_name
from tercet.errors import DataError
from tercet.records import TrainingRecord
from tercet.trainer.checkpoints.pushing import PushingTrainer
from tercet.trainer.checkpoints.record import training_record
from tercet.trainer.checkpoints.run_identity import (
    RunIdentity,
    argument_defaults,
    arguments_of,
    check_same_run,
    data_identity,
)
from tercet.trainer.checkpoints.weights import check_finite, load_weights
from tercet.trainer.checkpoints.whole_checkpoints import (
    check_whole,
    latest_checkpoint,
    newest_whole,
    read_identity,
    seal_checkpoint,
)
from tercet.trainer.checkpoints.writing import load_memory, write_checkpoint
from tercet.trainer.data_sets.prepared_sets import first_rows
from tercet.trainer.data_sets.streaming import Stream
from tercet.trainer.loss.parameters import load_loss, save_loss
from tercet.trainer.steps.sharding import gathered_model

logger = logging.getLogger(__name__)


class CheckpointingTrainer(PushingTrainer):
    """The part of `SentenceTransformerTrainer` that saves and resumes."""

    run_settings: dict[str, Any]
    run_setting_defaults: dict[str, Any]
    run_data: dict[str, dict[str, Any]]
    start_model: dict[str, Any]
    _data_facts: dict[str, Any]
    _text_hashes: Any
    _data_identity: dict[str, dict[str, Any]] | None
    _best_was_loaded: bool
    _unfinished_checkpoint: str | None

    def find_checkpoint(self, resume_from_checkpoint: str | Path | bool | None) -> Path | None:
        """Return the checkpoint to resume from, after checking that it is whole and belongs to this run.

        Args:
            resume_from_checkpoint: the path of a checkpoint. True takes the newest whole one in `output_dir`, and warns
                of newer ones that are incomplete or damaged. None or False starts a new run.

        Raises:
            DataError: it is no path, there is no whole checkpoint, or settings, data or the loss of its run differ.
        """
        if not resume_from_checkpoint:
            return None
        folder = Path(str(self.args.output_dir))
        if resume_from_checkpoint is True:
            checkpoint, skipped = newest_whole(folder)
            reasons = "; ".join(f"{path}: {reason}" for path, reason in skipped.items())
            if checkpoint is None:
                raise DataError(
                    f"cannot resume: {folder} has no whole checkpoint"
                    + (f" ({reasons})" if reasons else "")
                    + "; call train() without resume_from_checkpoint to start a new run"
                )
            if skipped and is_first_process():
                logger.warning(f"resuming from {checkpoint}, because newer checkpoints are not whole ({reasons})")
        else:
            checkpoint = as_path(resume_from_checkpoint, "resume_from_checkpoint")
            check_whole(checkpoint)
        written, now = read_identity(checkpoint), self._identity()
        check_same_run(checkpoint, written, now)
        if written.get("processes") != now.processes and is_first_process():
            logger.warning(
                f"{checkpoint} was written by {written.get('processes')} processes, now there are {now.processes}: "
                "dropout draws other random numbers than in an uninterrupted run"
            )
        return checkpoint

    def _identity(self) -> RunIdentity:
        """Return the identity of the run. Digests of the data are computed once."""
        if self._data_identity is None:
            self._data_identity = {}
            for kind, data in (("train", self.train_dataset), ("eval", self.eval_dataset)):
                # Several training sets decide the result, several evaluation sets do not.
                sets: dict[Any, Any] = data if isinstance(data, dict) and kind == "train" else {None: data}
                for name, data_set in sets.items():
                    part = first_rows(data_set)
                    if part is not None and not isinstance(part, dict) and len(part):
                        names = (
                            self._prepared_sets[part].label_names if kind == "train" else self.label_names_of_training
                        )
                        key = kind if name is None else f"{kind} {name}"
                        self._data_identity[key] = data_identity(part, names)
        return RunIdentity(
            arguments={**arguments_of(self.args, self.loss), "prompts": self.prompts},
            settings=self.run_settings,
            data={**self._data_identity, **self.run_data},
            model=self.start_model,
            processes=self.args.world_size,
            argument_defaults=argument_defaults(self.loss),
            setting_defaults=self.run_setting_defaults,
        )

    def _update_model_record(self) -> None:
        """Store the label names and the training record in the model, which saves them with its weights."""
        if self.train_dataset is not None:  # The names of an earlier training would describe other labels.
            stream = self.train_dataset if isinstance(self.train_dataset, Stream) else None
            self.model.label_names = (
                stream.labels.names if stream is not None and stream.labels else self.label_names_of_training
            )
        best_step = self.state.best_global_step if self._best_was_loaded else None
        self.model.training_record = training_record(
            self.args,
            self.loss,
            self._data_facts,
            self.state.log_history,
            saved_step=best_step,
            protocol=self._protocol(),
        )
        self.model.training_record.text_hashes = self._text_hashes
        self.model.remember_weights()

    def store_record_without_encoder(self, trained: str, head: dict[str, Any] | None) -> None:
        """Store the label names and a record in the model whose encoder is untouched.

        Args:
            trained: what was trained, for the model card.
            head: the settings of the head that was trained; None if none was.
        """
        self.model.label_names = self.label_names_of_training
        self.model.training_record = TrainingRecord(
            loss="" if head is None else "BatchSemiHardTripletLoss",
            data=self._data_facts,
            settings={"Trained": trained, **(head or {})},
            text_hashes=self._text_hashes,
        )
        self.model.remember_weights()

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write a complete model directory, which `SentenceTransformer` can load, instead of the weights alone."""
        if not self.args.should_save:
            return
        folder = as_path(output_dir if output_dir is not None else str(self.args.output_dir))
        self._update_model_record()
        self.model.save_pretrained(folder)
        with atomic_file(folder / TRAINING_ARGS_NAME) as partial:
            torch.save(self.args.without_functions(), partial)

    def _check_finite(self) -> None:
        def remaining() -> str:
            last = latest_checkpoint(Path(self.args.output_dir or ""))
            return f"the last checkpoint is {last}" if last else "there is no checkpoint to resume from"

        with gathered_model(self.model):
            check_finite(self.model, self.state.global_step, remaining)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint atomically, unless the training has diverged."""
        with gathered_model(self.model):
            self._write_checkpoint(model, trial)

    def _write_checkpoint(self, model: Any, trial: Any) -> None:
        self._read_stats()
        self._check_finite()

        def write(unfinished: Path) -> None:
            self._unfinished_checkpoint = str(unfinished)
            try:
                super(CheckpointingTrainer, self)._save_checkpoint(model, trial)
                if self.args.should_save:
                    save_loss(self.loss, unfinished / checkpoint_name(self.state.global_step))
                if self._label_means is not None:
                    self._label_means.save(unfinished / checkpoint_name(self.state.global_step))
            finally:
                self._unfinished_checkpoint = None

        folder = Path(self._get_output_dir(trial))
        identity = self._identity()
        write_checkpoint(
            folder, self.state, write, self.cross_batch_memory, self.args.save_total_limit,
            seal=lambda unfinished: seal_checkpoint(unfinished, identity),
        )  # fmt: skip
        if self.args.push_to_hub:
            self._push_checkpoint(folder / checkpoint_name(self.state.global_step))

    def _get_output_dir(self, trial: Any) -> str:
        return self._unfinished_checkpoint or super()._get_output_dir(trial)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_weights(model or self.model, resume_from_checkpoint)
        with _naming(resume_from_checkpoint, "the cross-batch memory"):
            load_memory(self.cross_batch_memory, Path(resume_from_checkpoint))
        load_loss(self.loss, Path(resume_from_checkpoint))
        if self._label_means is not None:
            with _naming(resume_from_checkpoint, "the label means"):
                self._label_means.load(Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with _naming(checkpoint, "the optimizer and the schedule"):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with _naming(checkpoint, "the state of the random number generators"):
            super()._load_rng_state(checkpoint)

    def _load_scaler(self, checkpoint: str | None) -> None:
        with _naming(checkpoint, "the gradient scaler"):
            super()._load_scaler(checkpoint)

    def _load_best_model(self) -> None:
        logger.info(
            f"loading the best checkpoint, {self.state.best_model_checkpoint} "
            f"({self.args.metric_for_best_model} {self.state.best_metric})"
        )
        load_weights(self.model, str(self.state.best_model_checkpoint))
        load_loss(self.loss, Path(str(self.state.best_model_checkpoint)))
        self._best_was_loaded = True


@contextmanager
def _naming(checkpoint: str | None, what: str) -> Iterator[None]:
    """Name the checkpoint in errors of the `with` block, which loads `what` from it."""
    try:
        yield
    except Exception as error:  # torch raises many types for a file that does not fit
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise DataError(f"cannot load {what} from {checkpoint}: {reason}; resume from another checkpoint") from error
