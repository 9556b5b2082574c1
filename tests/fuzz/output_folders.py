"""Save a model, or train one, into a folder that holds files of the user and of earlier models.

The files of the user stay, or the command is refused and everything stays. The folder then loads as the new model.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

import tercet
from tercet.encoder.loading import load_model
from tercet.runs import RunSettings
from tests.conftest import TOPICS, build_bert, build_mpnet
from tests.fuzz.outcome import Area, CaseRandom, Finding, refusable

SENTENCES = [sentence for topic in TOPICS.values() for sentence in topic]
_USERS = [
    "notes.txt",
    "thesis/chapter.txt",
    "1_Pooling/notes.txt",
    ".hidden",
    "data.csv",
    "plots/a.png",
    "run.log",
    "README.txt",
]


def prepare(folder: Path) -> dict[str, Any]:
    """Save two encoders of different kinds and labelled data."""
    build_bert(folder / "bert")
    build_mpnet(folder / "mpnet")
    lines = [f"{sentence},{label}\n" for label, sentences in TOPICS.items() for sentence in sentences]
    (folder / "data.csv").write_text("text,label\n" + "".join(lines))
    return {"bert": folder / "bert", "mpnet": folder / "mpnet", "data": folder / "data.csv"}


def case(state: dict[str, Any], rng: CaseRandom, folder: Path) -> str:
    """Fill the places of the output at random, write a model there, and look at what is left."""
    output = folder / rng.choice(["model", "a model", "m", "x" * 200, "x" * 240, "é", "sub/model"])
    mine = _fill(output, state, rng)
    overwrite = rng.random() < 0.6
    command = rng.choice(["save", "train"])
    rng.note(f"{command}, overwrite={overwrite}, {output.name[:20]}")
    refusal: BaseException | None = None
    try:
        embeddings = refusable(lambda: _write(command, state, output, overwrite=overwrite))
    except Finding:
        raise
    except Exception as error:  # The refusal is raised again once the files have been looked at.
        refusal = error
    for path, content in mine.items():
        if not path.is_file() or path.read_bytes() != content:
            raise Finding(f"the user's {path.relative_to(folder)} is lost")
    if refusal is not None:
        raise refusal
    try:
        loaded = np.asarray(load_model(str(output), device="cpu").encode(SENTENCES))
    except Exception as error:
        raise Finding(f"the folder that was written does not load: {type(error).__name__} {error}") from error
    if np.abs(loaded - embeddings).max() > 1e-4:
        raise Finding("the folder loads as another model than the one that was written")
    left = [path.name for path in output.parent.iterdir() if "partial" in path.name or "removed" in path.name]
    if left:
        raise Finding(f"left behind: {left}")
    return "written"


def _fill(output: Path, state: dict[str, Any], rng: CaseRandom) -> dict[Path, bytes]:
    """Write the user's files and perhaps an earlier model; return the contents of the user's files."""
    mine: dict[Path, bytes] = {}
    places = [output, output.with_name(output.name[:230] + ".checkpoints"), output.parent]
    if rng.random() < 0.5:
        shutil.copytree(state[rng.choice(["bert", "mpnet"])], output)
        rng.note("an earlier model")
        if rng.random() < 0.5:
            (output / "special_tokens_map.json").write_text('{"unk_token": "[UNK]", "cls_token": "<s>"}')
            (output / "added_tokens.json").write_text('{"zebra": 3}')
    for _ in range(rng.randrange(4)):
        path = rng.choice(places) / rng.choice(_USERS)
        if path.exists() or path in mine:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(8))
        mine[path] = path.read_bytes()
        rng.note(f"{'/'.join(path.parts[-3:])}")
    return mine


def _write(command: str, state: dict[str, Any], output: Path, *, overwrite: bool) -> np.ndarray:
    if command == "save":
        model = load_model(str(state["bert"]), device="cpu")
        model.save_pretrained(output)
    else:
        settings = RunSettings(max_steps=2, batch_size=8, samples_per_label=2, loss="batch-all")
        run = tercet.train(
            state["data"], output, model=state["bert"], settings=settings, overwrite=overwrite, device="cpu",
            show_progress_bar=False,
        )  # fmt: skip
        model = run.model
    return np.asarray(model.encode(SENTENCES))


AREA = Area("output_folders", prepare, case)
