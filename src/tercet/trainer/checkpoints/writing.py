"""Write checkpoints atomically, and remove them. `whole_checkpoints.py` finds the whole ones.

All processes write into a hidden temporary folder. When all of them have finished, the first process moves the
checkpoint to its final path. A checkpoint has a list of its files, and only these are ever removed.
"""

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from safetensors.torch import load_model, save_model
from transformers import TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from tercet._distributed import is_first_process, wait_for_all
from tercet._files import (
    PREFIX,
    checkpoint_name,
    checkpoint_step,
    find_checkpoints,
    find_unlisted,
    is_listed,
    list_files,
    remove_listed,
)
from tercet.errors import DataError, listed
from tercet.losses.cross_batch_memory import CrossBatchMemory
from tercet.trainer.checkpoints.whole_checkpoints import latest_checkpoint

_MEMORY = "memory.safetensors"
_UNFINISHED, _REMOVED = f"{PREFIX}unfinished", f"{PREFIX}removed"


def write_checkpoint(
    output_dir: Path,
    state: TrainerState,
    write: Callable[[Path], None],
    memory: CrossBatchMemory | None,
    limit: int | None,
    seal: Callable[[Path], None],
) -> None:
    """Write `output_dir`/checkpoint-STEP, then remove the oldest checkpoints beyond `limit`.

    All processes must call it.

    Args:
        output_dir: the folder of all checkpoints.
        state: the state of the trainer, with the current step and the path of the best checkpoint.
        write: a function that writes the folder `checkpoint-STEP` into a given folder.
        memory: the cross-batch memory, which is saved in the checkpoint; None if the run has none.
        limit: the number of checkpoints to keep; None or 0 keeps all. The newest and the best are always kept.
        seal: a function that gets the complete folder before it is moved to its final path.

    Raises:
        DataError: the checkpoint cannot be written (checkpoints of earlier steps are then unchanged), or an old one
            cannot be removed.
    """
    name = checkpoint_name(state.global_step)
    unfinished = output_dir / _UNFINISHED
    if is_first_process():
        for name_of_killed in (_UNFINISHED, _REMOVED):  # what a killed process has left
            _remove_hidden(output_dir / name_of_killed)
        # Before the others write into it: the model cannot be moved to a folder that another process creates meanwhile.
        with suppress(OSError):  # The reason is reported when the files are written.
            (unfinished / name).mkdir(parents=True)
    wait_for_all()
    try:
        write(unfinished)
        if memory is not None and is_first_process():
            save_model(memory, str(unfinished / name / _MEMORY))
        wait_for_all()
        _correct_best_path(state, unfinished, output_dir)
        if is_first_process():
            seal(unfinished / name)
            list_files(unfinished / name)
            if (output_dir / name).exists() and not remove_checkpoint(output_dir / name):
                raise FileExistsError(f"{output_dir / name} has files that this version did not write; move it away")
            (unfinished / name).rename(output_dir / name)
            unfinished.rmdir()
            _remove_oldest(output_dir, limit, state.best_model_checkpoint)
    except Exception as error:  # torch, safetensors and transformers raise different errors if the disk is full.
        _remove_hidden(unfinished)
        last = latest_checkpoint(output_dir)
        remaining = f"the last complete checkpoint is {last}" if last else "no earlier checkpoint is complete"
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"cannot write the checkpoint {output_dir / name}: {reason}; {remaining}") from error
    wait_for_all()


def seconds_to_write(output_dir: Path, write: Callable[[Path], object]) -> float:
    """Return the seconds in which `write` writes into a given folder; 0 in other processes than the first.

    The folder is that of an unfinished checkpoint, and is removed.
    """
    if not is_first_process():
        return 0.0
    unfinished, existed = output_dir / _UNFINISHED, output_dir.exists()
    _remove_hidden(unfinished)
    start = time.monotonic()
    try:
        write(unfinished)
    finally:
        _remove_hidden(unfinished)
        if not existed:
            with suppress(OSError):
                output_dir.rmdir()
    return time.monotonic() - start


def _remove_hidden(folder: Path) -> None:
    if folder.is_symlink():  # Writing through a link would change files in another folder.
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def check_replaceable(output_dir: Path, start: Path | None) -> None:
    """Raise `DataError` if the folder of a checkpoint that a run may write has files of the user.

    Args:
        output_dir: the folder of all checkpoints.
        start: the checkpoint that the run resumes from. Only later ones are written.
    """
    first = TrainerState.load_from_json(str(start / TRAINER_STATE_NAME)).global_step if start else 0
    for path in find_checkpoints(output_dir):
        if (checkpoint_step(path) or 0) > first and (foreign := find_unlisted(path)):
            raise DataError(
                f"{path} is the place of a checkpoint, but it has files that no run wrote: {listed(foreign)}; move "
                "them away, or choose another output_dir"
            )


def remove_checkpoint(checkpoint: Path) -> bool:
    """Remove the files of a checkpoint that `write_checkpoint` has written. Return whether its folder is gone.

    A checkpoint without files of the user is hidden first, so that a kill meanwhile leaves no part of it. Of another
    one, the first file to go is the one without which it is not complete.
    """
    if is_listed(checkpoint) and not checkpoint.is_symlink() and not find_unlisted(checkpoint):
        hidden = checkpoint.parent / _REMOVED
        _remove_hidden(hidden)
        with suppress(OSError):
            checkpoint.rename(hidden)
            _remove_hidden(hidden)
            return True
    return remove_listed(checkpoint, first=[TRAINER_STATE_NAME])


def load_memory(memory: CrossBatchMemory | None, checkpoint: Path) -> None:
    """Load the cross-batch memory of a checkpoint into `memory`. Do nothing if the run has none."""
    if memory is not None:
        load_model(memory, checkpoint / _MEMORY)


def _remove_oldest(folder: Path, limit: int | None, best: str | None) -> None:
    """Remove the oldest checkpoints that were written here until `limit` are left. Never remove the newest or the best.

    With None or 0, remove none.
    """
    checkpoints = [path for path in find_checkpoints(folder) if is_listed(path)]
    kept = {checkpoints[-1], *([Path(best)] if best else [])}
    removable = [checkpoint for checkpoint in checkpoints if checkpoint not in kept]
    surplus = len(checkpoints) - max(limit or len(checkpoints), len(kept))
    for checkpoint in removable[: max(0, surplus)]:
        remove_checkpoint(checkpoint)


def _correct_best_path(state: TrainerState, unfinished: Path, output_dir: Path) -> None:
    """Replace the temporary path of the best checkpoint by its final path, if it is the checkpoint being written.

    Every process must do so, because each loads the best checkpoint at the end. The first process writes the file.
    """
    best = state.best_model_checkpoint
    if best is not None and Path(best).parent == unfinished:
        state.best_model_checkpoint = str(output_dir / Path(best).name)
        if is_first_process():
            state.save_to_json(str(Path(best) / TRAINER_STATE_NAME))
