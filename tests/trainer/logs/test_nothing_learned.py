"""Runs that cannot learn say so at their first batch and at their end, and the script of the README learns."""

import re
from pathlib import Path

import pytest
import torch
from datasets import Dataset

from tercet import SentenceTransformer, SentenceTransformerTrainer, losses
from tercet._events import WarningKind, collect_warnings
from tercet.trainer import SentenceTransformerTrainingArguments
from tercet.trainer.logs.weight_changes import relative_change, sample_weights, weight_sums
from tests.conftest import build_mpnet
from tests.trainer.helpers import turn_off_dropout

README = Path(__file__).parents[3] / "README.md"


@pytest.fixture(scope="module")
def wide_mpnet(tmp_path_factory) -> Path:
    """An MPNet without normalization, whose embeddings are about 2 to 6 apart, as those of mpnet-base are."""
    folder = build_mpnet(tmp_path_factory.mktemp("wide"))
    model = SentenceTransformer(folder, device="cpu")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "LayerNorm.weight" in name:
                parameter *= 1.5
            elif "word_embeddings" in name:
                parameter *= 20
    model.transformer.auto_model.save_pretrained(folder)
    return folder


def readme_script(model: Path, folder: Path) -> str:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    (source,) = [block for block in blocks if '"microsoft/mpnet-base"' in block]
    source = source.replace('"microsoft/mpnet-base"', repr(str(model)))
    return source.replace("model=model, train", f"model=model, args=arguments({str(folder)!r}), train")


def arguments(folder: str) -> SentenceTransformerTrainingArguments:
    """The default arguments, but for the folder and the network."""
    return SentenceTransformerTrainingArguments(folder, report_to="none", use_cpu=True, seed=0)


def run(source: str) -> tuple[dict, list]:
    names = {"arguments": arguments}
    with collect_warnings() as collected:
        exec(source, names)
    return names, collected


def weights_before(model: Path) -> list[float]:
    return weight_sums(SentenceTransformer(model, device="cpu"))


@pytest.mark.slow
def test_the_script_of_the_readme_learns(wide_mpnet, tmp_path):
    names, collected = run(readme_script(wide_mpnet, tmp_path))
    # The tiny vocabulary lacks most words of the script.
    assert {warning.kind for warning in collected} == {WarningKind.UNKNOWN_TOKENS}
    logged = [entry["loss"] for entry in names["trainer"].state.log_history if "loss" in entry]
    assert len(logged) == names["trainer"].state.global_step == 3  # a short run logs each step
    assert min(logged) > 0
    assert weight_sums(names["model"]) != weights_before(wide_mpnet)


@pytest.mark.slow
def test_a_margin_far_below_the_distances_is_reported_at_the_start_and_at_the_end(wide_mpnet, tmp_path):
    model = SentenceTransformer(wide_mpnet, device="cpu")
    turn_off_dropout(model)
    rows = {"sentence": ["the team won the game", "the bank cut the rate"] * 2, "label": [0, 1, 0, 1]}
    loss = losses.BatchSemiHardTripletLoss(model, margin=0.3)
    with collect_warnings() as collected:
        SentenceTransformerTrainer(model, arguments(str(tmp_path)), Dataset.from_dict(rows), loss=loss).train()
    assert [warning.kind for warning in collected] == [WarningKind.SMALL_MARGIN, WarningKind.NOTHING_LEARNED]
    first, last = (warning.message for warning in collected)
    assert re.search(r"margin 0.3 is far below the euclidean distances .* a margin near [\d.]+\.$", first)
    assert "distance_metric='cosine'" in first
    assert last.startswith(
        "the model has learned nothing: no weight has changed since the start of the run: not one triplet of the 3 "
        "batches of the run had a loss above 0"
    )
    assert weight_sums(model) == weights_before(wide_mpnet)


def train(bert, tmp_path, rows: dict, **changes) -> list[str]:
    model = SentenceTransformer(bert, device="cpu")
    for parameter in model.parameters():
        parameter.data[parameter == 0] = 0.01  # the smallest step changes a weight of 0
    options = {"max_steps": 2, "report_to": "none", "use_cpu": True, "save_strategy": "no", **changes}
    loss = losses.BatchHardSoftMarginTripletLoss(model)
    data = Dataset.from_dict(rows)
    arguments = SentenceTransformerTrainingArguments(str(tmp_path), **options)
    with collect_warnings() as collected:
        SentenceTransformerTrainer(model, arguments, data, loss=loss).train()
    return [warning.message for warning in collected if warning.kind == WarningKind.NOTHING_LEARNED]


@pytest.mark.slow
def test_a_learning_rate_that_changes_no_weight_is_reported(bert, tmp_path, sentences, labels):
    rows = {"sentence": sentences, "label": labels}
    (message,) = train(bert, tmp_path, rows, learning_rate=1e-30)
    assert "no weight has changed since the start of the run, although triplets were active" in message
    (message,) = train(bert, tmp_path, rows, max_steps=1, warmup_steps=1)
    assert "Use a higher learning rate or more steps (the first steps of a warm-up" in message
    (message,) = train(bert, tmp_path, rows, learning_rate=1e-12)
    assert re.search(r"the weights have changed by \d+e-\d+ of their norm only, which no metric can see", message)
    assert train(bert, tmp_path, rows) == []


def test_a_best_state_from_before_the_first_change_is_named(bert, tmp_path, sentences, labels):
    """The first step of a warm-up has a learning rate of 0, and later states are worse."""
    metrics = iter([0.9, 0.5, 0.4])

    def evaluate(model):
        return {"score": next(metrics)}

    model = SentenceTransformer(bert, device="cpu")
    before = weight_sums(model)
    arguments = SentenceTransformerTrainingArguments(
        str(tmp_path), max_steps=3, warmup_steps=1, report_to="none", use_cpu=True, eval_strategy="steps", eval_steps=1,
        save_strategy="steps", save_steps=1, load_best_model_at_end=True, metric_for_best_model="score",
    )  # fmt: skip
    loss = losses.BatchHardSoftMarginTripletLoss(model)
    data = Dataset.from_dict({"sentence": sentences, "label": labels})
    with collect_warnings() as collected:
        SentenceTransformerTrainer(model, arguments, data, loss=loss, evaluator=evaluate).train()
    assert weight_sums(model) == before
    (message,) = [warning.message for warning in collected if warning.kind == WarningKind.NOTHING_LEARNED]
    assert "the best state, which was loaded at the end, was saved before the first change of a weight" in message


def test_the_relative_change_is_that_of_all_weights(bert):
    model = SentenceTransformer(bert, device="cpu")
    before, weights = (
        sample_weights(model),
        torch.cat([value.detach().flatten() for value in model.parameters()]).double(),
    )
    assert relative_change(model, before) == 0
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1e-4 * torch.randn_like(parameter)
    after = torch.cat([value.detach().flatten() for value in model.parameters()]).double()
    expected = float((after - weights).norm() / weights.norm())
    assert relative_change(model, before) == pytest.approx(expected, rel=0.05)


def test_the_fingerprint_sees_a_single_bit(bert):
    model = SentenceTransformer(bert, device="cpu")
    before = weight_sums(model)
    assert weight_sums(model) == before
    weight = next(parameter for parameter in model.parameters() if parameter.dim() == 2)
    with torch.no_grad():
        weight[1, 0] = torch.nextafter(weight[1, 0], torch.tensor(10.0))
    assert weight_sums(model) != before
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    assert weight_sums(model) == []


@pytest.mark.slow
def test_logging_steps_of_the_user_are_kept(bert, tmp_path, labelled):
    for given, logged in (({}, 1), ({"logging_steps": 2}, 2), ({"logging_steps": 0.5}, 2)):
        model = SentenceTransformer(bert, device="cpu")
        options = {"max_steps": 4, "report_to": "none", "use_cpu": True, "save_strategy": "no", **given}
        trainer = SentenceTransformerTrainer(
            model,
            SentenceTransformerTrainingArguments(str(tmp_path), **options),
            labelled,
            loss=losses.BatchHardSoftMarginTripletLoss(model),
        )
        trainer.train()
        assert trainer.state.logging_steps == logged
