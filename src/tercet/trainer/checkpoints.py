"""Checkpoints that are whole or absent: written under another name, and renamed when all processes are done."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_model, save_model
from transformers import TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import sort_checkpoints

from tercet._distributed import is_first_process, wait_for_all
from tercet._files import REMOVED_PREFIX, remove_directory
from tercet.errors import DataError
from tercet.losses.cross_batch_memory import CrossBatchMemory

_MEMORY = "memory.safetensors"


def write_checkpoint(
    folder: Path, state: TrainerState, write: Callable[[Path], None], memory: CrossBatchMemory | None, keep: int | None
) -> None:
    """Write `folder`/checkpoint-STEP by `write`, which is given another folder to write it in; then remove old ones.

    Raises:
        DataError: it cannot be written; earlier checkpoints are as they were.
    """
    name = f"checkpoint-{state.global_step}"
    unfinished = folder / ".unfinished"
    if is_first_process():
        for left in (unfinished, *folder.glob(f"{REMOVED_PREFIX}*")):
            shutil.rmtree(left, ignore_errors=True)
    wait_for_all()
    try:
        write(unfinished)
        if memory is not None and is_first_process():
            save_model(memory, str(unfinished / name / _MEMORY))
        wait_for_all()
        if is_first_process():
            _name_best(state, unfinished, folder)
            if (folder / name).exists():
                remove_directory(folder / name)
            (unfinished / name).rename(folder / name)
            unfinished.rmdir()
            _remove_old(folder, keep, state.best_model_checkpoint)
    except Exception as error:  # each library that writes a part of it has errors of its own for a full disk
        shutil.rmtree(unfinished, ignore_errors=True)
        last = latest_checkpoint(folder)
        whole = f"the last whole one is {last}" if last else "there is none before it"
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"cannot write the checkpoint {folder / name}: {reason}; {whole}") from error
    wait_for_all()


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint in a folder."""
    whole = [path.parent for path in folder.glob(f"checkpoint-[0-9]*/{TRAINER_STATE_NAME}") if _is_json(path)]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def load_memory(memory: CrossBatchMemory | None, checkpoint: Path) -> None:
    """Fill a memory with what a checkpoint holds of it.

    Raises:
        DataError: the checkpoint has none, or one of another size, or one where the run has none.
    """
    path = checkpoint / _MEMORY
    if memory is None:
        if path.exists():
            raise DataError(
                f"{checkpoint} was written with a memory; resume it with the cross_batch_memory it was written with"
            )
        return
    if not path.exists():
        raise DataError(f"{checkpoint} was written without a memory; resume it with cross_batch_memory=0")
    try:
        load_model(memory, path)
    except RuntimeError as error:
        raise DataError(
            f"{path} is a memory of another size; resume it with the cross_batch_memory it was written with"
        ) from error


def _remove_old(folder: Path, keep: int | None, best: str | None) -> None:
    """All but the last `keep` checkpoints; the best one stays, in place of an older one."""
    checkpoints = [Path(path) for path in sort_checkpoints(str(folder))]
    kept = {checkpoints[-1], *([Path(best)] if best else [])}
    others = [checkpoint for checkpoint in checkpoints if checkpoint not in kept]
    surplus = len(checkpoints) - max(keep or len(checkpoints), len(kept))
    for checkpoint in others[: max(0, surplus)]:
        remove_directory(checkpoint)


def _name_best(state: TrainerState, unfinished: Path, folder: Path) -> None:
    """The best checkpoint by the name that it will have."""
    best = state.best_model_checkpoint
    if best is not None and Path(best).parent == unfinished:
        state.best_model_checkpoint = str(folder / Path(best).name)
        state.save_to_json(str(Path(best) / TRAINER_STATE_NAME))


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True
