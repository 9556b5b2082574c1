"""Push the model of a trainer to the hub: whole model folders, at the end or while it trains."""

import logging
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from transformers.trainer_utils import HubStrategy
from transformers.utils.hub import PushInProgress

from tercet._files.model_files import CARD, is_own_card
from tercet.errors import DataError, listed
from tercet.trainer.evaluation.evaluating import EvaluatingTrainer

logger = logging.getLogger("tercet")


class PushingTrainer(EvaluatingTrainer):
    """The part of `SentenceTransformerTrainer` that uploads models."""

    push_in_progress: Any = None
    hub_model_id: Any = None

    def _update_model_record(self) -> None:
        raise NotImplementedError

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **card: Any,
    ) -> Any:
        """Upload the whole model folder with its card to the repository `hub_model_id` of the training arguments.

        Args:
            commit_message: the message of the commit.
            blocking: whether to wait for the upload.
            token: the token of the hub; by default the training argument `hub_token`.
            revision: the branch; by default the training argument `hub_revision`.
            private: whether a new repository is private.
            card: not supported, see `create_model_card`.

        Returns:
            The commit, or its future if `blocking` is False; None in all processes but the first.

        Raises:
            DataError: an argument of the card is passed.
        """
        _check_card_arguments(card)
        token = token if token is not None else self.args.hub_token
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        if not self.is_world_process_zero():
            return None
        self._finish_current_push()
        self._update_model_record()
        return push_folder(
            self.model.save_pretrained, self.hub_model_id, commit_message=commit_message, token=token,
            revision=revision or self.args.hub_revision, blocking=blocking,
        )  # fmt: skip

    def create_model_card(self, *args: Any, **card: Any) -> None:
        """Write the model card of the model, a README.md, into `output_dir`.

        Raises:
            DataError: an argument of the method of `transformers` is passed, which would have no effect.
        """
        _check_card_arguments({**card, **{f"argument {place}": value for place, value in enumerate(args, 1)}})
        if self.is_world_process_zero():
            self._update_model_record()
            write_card(self.model, Path(str(self.args.output_dir)))

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Do nothing: `transformers` calls this before the checkpoint is complete. `_push_checkpoint` follows."""

    def _push_checkpoint(self, checkpoint: Path) -> None:
        """Upload the model in the background, and the checkpoint if `hub_strategy` says so."""
        strategy = self.args.hub_strategy
        if not self.is_world_process_zero() or strategy == HubStrategy.END:
            return
        pushed: Any = self.push_in_progress
        if pushed is not None and not pushed.is_done() and not self.args.hub_always_push:
            return
        step = self.state.global_step
        options: Any = {
            "repo_id": self.hub_model_id, "token": self.args.hub_token, "revision": self.args.hub_revision,
        }  # fmt: skip
        jobs = [
            push_folder(
                self.model.save_pretrained,
                commit_message=f"Training in progress, step {step}",
                blocking=False,
                **options,
            )
        ]
        if strategy in (HubStrategy.CHECKPOINT, HubStrategy.ALL_CHECKPOINTS):
            name = "last-checkpoint" if strategy == HubStrategy.CHECKPOINT else checkpoint.name
            jobs.append(
                push_folder(
                    partial(shutil.copytree, checkpoint),
                    path_in_repo=name,
                    blocking=False,
                    commit_message=f"Training in progress, step {step}, checkpoint",
                    **options,
                )
            )
        if pushed is None or pushed.is_done():
            self.push_in_progress = PushInProgress(jobs)  # type: ignore[arg-type]
        else:
            pushed.jobs.extend(jobs)


def _check_card_arguments(card: dict[str, Any]) -> None:
    """Raise `DataError` for arguments of the model card; `model_name` has no effect in `transformers` either."""
    if given := [name for name, value in card.items() if name != "model_name" and value not in (None, [], "")]:
        raise DataError(
            f"the model card takes no {listed(given)}; write them into README.md, or set them in model.model_card_data"
        )


def push_folder(
    write: Callable[[Path], Any],
    repo_id: str,
    *,
    commit_message: str | None,
    token: str | None,
    revision: str | None,
    blocking: bool = True,
    path_in_repo: str | None = None,
) -> Any:
    """Write a folder to a temporary place and upload it. Return the commit, or its future if `blocking` is False.

    An upload in the background that fails logs a warning, and does not end the training.

    Args:
        write: a function that writes the folder to the given path.
        repo_id: the name of the repository.
        commit_message: the message of the commit.
        token: the token of the hub; None uses the stored one.
        revision: the branch; None uses the main one.
        blocking: whether to wait for the upload.
        path_in_repo: the folder in the repository; None for its root.
    """
    from huggingface_hub import HfApi

    folder = Path(tempfile.mkdtemp(prefix="tercet-push-"))
    try:
        write(folder / "model")
        upload: Any = HfApi(token=token).upload_folder
        pushed = upload(
            repo_id=repo_id, folder_path=folder / "model", commit_message=commit_message, revision=revision,
            path_in_repo=path_in_repo, run_as_future=not blocking,
        )  # fmt: skip
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if blocking:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        pushed.add_done_callback(lambda future: _finish(future, folder, repo_id))
    return pushed


def _finish(future: Any, folder: Path, repo_id: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if (error := future.exception()) is not None:
        logger.warning(f"pushing to {repo_id} failed, but the training continues: {str(error).strip()}")


def write_card(model: Any, folder: Path) -> None:
    """Write the model card of a model into a folder. A README.md that is no generated card is kept, with a warning."""
    if (folder / CARD).exists() and not is_own_card(folder / CARD):
        logger.warning(f"{folder / CARD} is not a generated model card, so it is kept, and no card is written")
        return
    with tempfile.TemporaryDirectory() as temporary:
        model.save_pretrained(Path(temporary) / "model")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(temporary) / "model" / CARD, folder / CARD)
