"""The tables of defaults in the docs have the defaults of the code."""

import inspect
import re

from tercet import SentenceTransformerTrainingArguments
from tercet.catalogue import DEFAULT_MARGIN
from tercet.losses import BatchSemiHardTripletLoss
from tercet.runs import RunSettings
from tercet.runs.recipe import FEW_ROWS_PER_LABEL, choose_schedule
from tests.docs.pages import ROOT

GUIDES = ROOT / "docs" / "guides"


def _rows(page: str, heading: str) -> dict[str, list[str]]:
    """Return the cells of the first table below a heading, by the first cell of their row."""
    text = (GUIDES / page).read_text(encoding="utf-8").split(f"{heading}\n")[1]
    table = re.search(r"^\|.*?(?=^[^|])", text, re.MULTILINE | re.DOTALL)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()]
    return {first: others for first, *others in cells}


def _numbers(cell: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d[\d.]*(?:e-?\d+)?", cell.split("([")[0])]


def test_the_table_of_the_trainer_has_its_defaults_and_those_of_the_command(tmp_path):
    rows = _rows("train-from-python.md", "### Defaults of the trainer")
    trainer, settings = SentenceTransformerTrainingArguments(str(tmp_path)), RunSettings()
    usual, few = (choose_schedule(settings, few_rows=few, width=384) for few in (False, True))
    expected = {
        "epochs": ([trainer.num_train_epochs], [usual.epochs, few.epochs, FEW_ROWS_PER_LABEL]),
        "batch size": ([trainer.per_device_train_batch_size], [settings.batch_size]),
        "batches": ([], [settings.samples_per_label]),
        "learning rate": ([trainer.learning_rate], [usual.learning_rate, 384]),
        "margin of the loss": (
            [inspect.signature(BatchSemiHardTripletLoss).parameters["margin"].default],
            [DEFAULT_MARGIN],
        ),
    }
    assert {key: tuple(map(_numbers, rows[key])) for key in expected} == expected
    assert trainer.warmup_steps == 0
    assert settings.warmup_ratio == 0.1
    assert (rows["warm-up"], rows["checkpoints"][1]) == (["none", "a tenth of the steps"], "every epoch")


def test_the_guide_to_training_has_the_defaults_of_the_settings():
    rows = _rows("train.md", "## Batches and length")
    settings = RunSettings()
    usual, few = (choose_schedule(settings, few_rows=few, width=384) for few in (False, True))
    defaults = {key.replace("`", ""): _numbers(cells[0]) for key, cells in rows.items()}
    assert defaults["--batch-size, --samples-per-label"] == [settings.batch_size, settings.samples_per_label]
    assert defaults["--neighbor-labels"] == [settings.neighbor_labels]
    assert defaults["--epochs, --max-steps or --time-limit"] == [usual.epochs, few.epochs]
    assert defaults["--learning-rate, --warmup-ratio"] == [usual.learning_rate, settings.warmup_ratio]
    assert defaults["--seed"] == [settings.seed]
