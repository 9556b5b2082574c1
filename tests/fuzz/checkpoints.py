"""Resume a training whose newest checkpoint has one file broken.

The training ends with the weights of a run that was never interrupted, or it is refused.
"""

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import tercet
from tercet import SentenceTransformer
from tercet._files import find_checkpoints
from tercet.runs import RunSettings
from tests.conftest import TOPICS, build_bert
from tests.fuzz.mutate import break_file
from tests.fuzz.outcome import Area, CaseRandom, Finding, refusable

_SETTINGS = RunSettings(max_steps=6, batch_size=8, samples_per_label=2, loss="batch-all", save_every=2)


def prepare(folder: Path) -> dict[str, Any]:
    """Train once to the end, and once until the model is saved, so that the checkpoints are left."""
    build_bert(folder / "bert")
    lines = [f"{sentence},{label}\n" for label, sentences in TOPICS.items() for sentence in sentences]
    (folder / "data.csv").write_text("text,label\n" + "".join(lines))
    state: dict[str, Any] = {"folder": folder}
    state["weights"] = _train(state, folder / "whole")
    save = SentenceTransformer.save_pretrained

    def stop_at_the_end(model: SentenceTransformer, path: Any, *arguments: Any, **options: Any) -> None:
        if Path(path) == folder / "model":
            raise SystemExit("killed")
        save(model, path, *arguments, **options)

    SentenceTransformer.save_pretrained = stop_at_the_end  # type: ignore[method-assign]
    try:
        _train(state, folder / "model")
    except SystemExit:
        pass
    finally:
        SentenceTransformer.save_pretrained = save  # type: ignore[method-assign]
    return state


def case(state: dict[str, Any], rng: CaseRandom, folder: Path) -> str:
    """Break one file of a copy of the checkpoints, then resume."""
    kept = folder / "model.checkpoints"
    shutil.copytree(state["folder"] / "model.checkpoints", kept)
    if rng.random() < 0.7:
        shutil.rmtree(kept / "checkpoint-6")
    newest = find_checkpoints(kept)[-1]
    path = rng.choice(sorted(path for path in newest.rglob("*") if path.is_file()))
    done = break_file(path, rng)
    rng.note(f"{newest.name}: {done}")
    weights = refusable(lambda: _train(state, folder / "model", resume=True))
    if (weights - state["weights"]).abs().max() > 1e-6:
        raise Finding("other weights than those of the run that was not interrupted")
    return f"{done}: the same weights"


def _train(state: dict[str, Any], output: Path, *, resume: bool = False) -> Tensor:
    run = tercet.train(
        state["folder"] / "data.csv", output, model=state["folder"] / "bert", settings=_SETTINGS, device="cpu",
        resume=resume, show_progress_bar=False, eval_fraction=0,
    )  # fmt: skip
    return torch.cat([parameter.detach().flatten() for parameter in run.model.parameters()])


AREA = Area("checkpoints", prepare, case)
