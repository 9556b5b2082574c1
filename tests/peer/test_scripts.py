"""Scripts for sentence-transformers run with the import alone changed, with the same loss in each step.

The scripts call what public scripts, docs and examples call. A few of them run with all tests; `make test-peer` runs
the others too, and all of them with sentence-transformers.
"""

import importlib.util
import json
import logging
import os
import sys
from pathlib import Path

import pytest
import torch
import transformers

from tests.conftest import build_bert

SCRIPTS = Path(__file__).parent / "scripts"
NAMES = sorted(path.stem for path in SCRIPTS.glob("*.py") if path.stem != "data")
QUICK = {"trec_6", "own_loop", "own_modules", "several_sets", "v2_label_dataset"}
# These scripts have another curve: in their random batches some anchors have no positive and are left out of the mean,
# the batches of a SentenceLabelDataset keep its groups, or the rows of a stream are mixed.
OTHER_CURVE = {
    "docstring_batch_hard", "docstring_batch_hard_soft_margin", "iterable_dataset", "subclass", "v2_label_dataset",
}  # fmt: skip

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("_restored"),
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    """A tiny BERT without dropout, so that the losses of two libraries are equal."""
    folder = build_bert(tmp_path_factory.mktemp("encoder"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def _restored(monkeypatch):
    """Undo what the scripts do to the process."""
    monkeypatch.setenv("WANDB_DISABLED", "true")
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level


def run_script(name: str, library: str, encoder: Path, folder: Path, monkeypatch) -> list[float]:
    """Run a script with the names of a library, and return its `curve` or else the loss of each step of its trainer."""
    folder.mkdir()
    torch.manual_seed(0)
    steps: list[float] = []
    training_step = transformers.Trainer.training_step

    def recorded_step(trainer, *args, **options):
        loss = training_step(trainer, *args, **options)
        steps.append(loss.item())
        return loss

    monkeypatch.chdir(folder)
    spec = importlib.util.spec_from_file_location("data", SCRIPTS / "data.py")
    data = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(data)
    data.ENCODER = str(encoder)
    monkeypatch.setitem(sys.modules, "data", data)
    path = SCRIPTS / f"{name}.py"
    text = path.read_text().replace("from sentence_transformers", f"from {library}")
    script: dict = {"__name__": "__main__"}
    with monkeypatch.context() as patch:  # the steps of a second script are not those of this one
        patch.setattr(transformers.Trainer, "training_step", recorded_step)
        exec(compile(text, str(path), "exec"), script)
    return script.get("curve", steps)


def _needs_all(name: str):
    skip = pytest.mark.skipif("TEST_PEER" not in os.environ, reason="run by make test-peer")
    return pytest.param(name, marks=[] if name in QUICK else [skip])


@pytest.mark.slow
@pytest.mark.parametrize("name", [_needs_all(name) for name in NAMES])
def test_a_script_runs_with_its_import_changed(name, encoder, tmp_path, monkeypatch):
    run_script(name, "tercet", encoder, tmp_path / "ours", monkeypatch)


@pytest.mark.skipif("TEST_PEER" not in os.environ, reason="run by make test-peer")
@pytest.mark.parametrize("name", NAMES)
def test_a_script_runs_with_sentence_transformers(name, encoder, tmp_path, monkeypatch):
    run_script(name, "sentence_transformers", encoder, tmp_path / "theirs", monkeypatch)


@pytest.mark.skipif("TEST_PEER" not in os.environ, reason="run by make test-peer")
@pytest.mark.parametrize("name", [name for name in NAMES if name not in OTHER_CURVE])
def test_the_losses_are_those_of_sentence_transformers(name, encoder, tmp_path, monkeypatch):
    ours = run_script(name, "tercet", encoder, tmp_path / "ours", monkeypatch)
    theirs = run_script(name, "sentence_transformers", encoder, tmp_path / "theirs", monkeypatch)
    assert ours
    assert ours == pytest.approx(theirs, rel=1e-4)
