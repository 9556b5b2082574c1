"""The names of checkpoints: `checkpoint-STEP`, as `transformers` names them."""

from pathlib import Path

_NAME = "checkpoint-"


def checkpoint_name(step: int) -> str:
    """Return the name of the checkpoint of a step."""
    return f"{_NAME}{step}"


def checkpoint_step(path: Path) -> int | None:
    """Return the step in the name of a checkpoint, or None if the name is not that of a checkpoint.

    Example:
        >>> checkpoint_step(Path("model.checkpoints/checkpoint-40")), checkpoint_step(Path("checkpoint-best"))
        (40, None)
    """
    step = path.name.removeprefix(_NAME)
    return int(step) if path.name.startswith(_NAME) and step.isascii() and step.isdecimal() else None


def find_checkpoints(folder: Path) -> list[Path]:
    """Return everything in `folder` that has the name of a checkpoint, by ascending step."""
    steps = {path: step for path in folder.glob(f"{_NAME}*") if (step := checkpoint_step(path)) is not None}
    return sorted(steps, key=lambda path: steps[path])
