"""The grid: keys, values, names of variants, and one sentence for what cannot be compared."""

import pytest

from tercet import compare
from tercet.comparison.grid import grid_keys, parse_grid, read_grid
from tercet.comparison.plan import Plan
from tercet.errors import DataError
from tercet.runs import RunSettings


def _names(*grid, **options):
    return [variant.name for variant in parse_grid(grid, **options)]


def test_any_setting_of_a_run_can_be_compared_by_either_spelling():
    variants = parse_grid(["learning-rate=5e-5,1e-4", "batch_size=32", "lora=true"])
    assert [variant.changes for variant in variants] == [
        (("learning_rate", rate), ("batch_size", 32), ("lora", True)) for rate in (5e-5, 1e-4)
    ]
    assert variants[1].name == "learning rate 0.0001, batch size 32, lora true"
    applied = variants[1].apply_to(RunSettings(seed=7, learning_rate=1.0))
    assert (applied.learning_rate, applied.batch_size, applied.seed) == (1e-4, 32, 7)
    assert {"model", "loss", "train", "epochs", "batch_size", "cross_batch_memory"} <= set(grid_keys())
    assert not {"seed", "max_steps", "time_limit", "eval_steps"} & set(grid_keys())
    assert read_grid(["max_seq_length=none,64"]) == {"max_seq_length": [None, 64]}


def test_a_name_has_what_differs_between_variants():
    assert _names("model=org/one,two") == ["one", "two"]
    assert _names("model=a/x,b/x") == ["a/x", "b/x"]
    assert _names("epochs=1,2.5", "train=head,both")[:2] == ["train head", "epochs 1, train both"]
    assert _names("model=a", "loss=batch-all", "margin=0.1,0.3") == [
        "a, batch-all, margin 0.1", "a, batch-all, margin 0.3"
    ]  # fmt: skip
    assert _names("model=a,b", distance={"a": "euclidean", "b": "cosine"}) == ["a", "b, cosine"]


def test_a_head_alone_comes_once_because_it_depends_neither_on_the_loss_nor_on_the_training():
    assert _names("train=head,both", "epochs=1,3") == ["train head", "train both, epochs 1", "train both, epochs 3"]
    assert _names("loss=batch-all,batch-hard", "train=head,both") == [
        "train head", "batch-all, margin 0.3, train both", "batch-hard, margin 0.3, train both"
    ]  # fmt: skip
    assert _names("dimension=16,32", settings=RunSettings(train="head")) == ["dimension 16", "dimension 32"]
    with pytest.raises(DataError, match="nothing to compare, because there is only one variant"):
        parse_grid(["epochs=1,3"], settings=RunSettings(train="head"))


def test_a_dimension_without_a_head_is_refused():
    message = "grid: dimension=8 is that of the linear layer, but train='encoder' trains none"
    with pytest.raises(DataError, match=message):
        parse_grid(["train=encoder", "dimension=8,16"])
    with pytest.raises(DataError, match=message):
        parse_grid(["dimension=8,16"], settings=RunSettings(train="encoder"))


def test_a_dimension_is_that_of_the_variants_with_a_head():
    """The variant without a head comes once."""
    for grid in (["train=head,encoder", "dimension=32,64"], ["dimension=32,64", "train=head,encoder"]):
        variants = parse_grid(grid)
        assert sorted(sorted(variant.name.split(", ")) for variant in variants) == [
            ["dimension 32", "train head"], ["dimension 64", "train head"], ["train encoder"]
        ]  # fmt: skip
    settings = RunSettings(dimension=64)
    variants = parse_grid(["train=head,encoder,both"], settings=settings)
    assert {variant.name: variant.apply_to(settings).dimension for variant in variants} == {
        "train head": 64, "train encoder": None, "train both": 64
    }  # fmt: skip
    assert [dict(variant.changes)["dimension"] for variant in variants] == [64, None, 64]
    with pytest.raises(DataError, match="dimension=64 is that of the linear layer"):
        parse_grid(["train=encoder", "epochs=1,2"], settings=settings)


def test_without_a_loss_a_grid_of_other_settings_has_one_loss():
    assert {variant.loss for variant in parse_grid(["model=a,b"])} == {"batch-semi-hard"}
    assert {variant.loss for variant in parse_grid(["model=a,b"], settings=RunSettings(loss="batch-all"))} == {
        "batch-all"
    }
    assert len({variant.loss for variant in parse_grid(["distance=cosine,euclidean"])}) == 4


def test_the_default_variant_has_the_settings_that_the_grid_does_not_change():
    def default(*grid):
        found = Plan(variants=parse_grid(grid), seeds=(0,), settings=RunSettings()).default
        return found and found.name

    assert default("batch_size=32,64") == "batch size 64"
    assert default("batch_size=32,128") is None
    assert default("model=a,b") is None
    assert default() == "batch-semi-hard, margin 0.3"


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (["rate=1"], r"grid: cannot read 'rate=1'; expected for example .*\(keys: model, loss, margin"),
        (["seed=1,2"], "grid: cannot read 'seed=1,2'"),
        # As they are written in --grid, so that the command line takes none for the option of this name.
        (["rate=1"], "label-levels, epochs, batch-size, samples-per-label, neighbor-labels, learning-rate, "),
        (["epochs=1,x"], "grid: epochs 'x' is not a finite number"),
        (["epochs=0,1"], "grid: epochs must be above 0, got 0.0"),
        (["learning_rate=1e-4,inf"], "grid: learning_rate 'inf' is not a finite number"),
        (["learning_rate=-1,1"], "grid: learning_rate must be above 0, got -1.0"),
        (["batch_size=8.5,16"], "grid: batch_size '8.5' is not a whole number"),
        (["batch_size=62,64"], "grid: batch_size must be a multiple of samples_per_label=4 and at least 8, got 62"),
        (["lora=yes,no"], "grid: lora 'yes' is not one of 'true', 'false'"),
        (["train=head,all"], "grid: train must be one of 'auto', 'head', 'encoder', 'both', got all"),
        (["epochs=1,1.0"], "grid: epochs '1.0' is given twice, so two variants would be equal"),
        (["learning-rate=1", "learning_rate=2"], "grid: 'learning_rate' is given twice"),
        (["model=a,a"], "grid: model 'a' is given twice"),
        (["model=a,"], "grid: 'model' has an empty value"),
        (["model=a"], "grid: nothing to compare, because there is only one variant, a"),
        (["train=head,both", "loss=triplet"], "grid: loss 'triplet' is not one of 'batch-semi-hard'"),
    ],
)
def test_invalid_grids_are_one_sentence(grid, message):
    with pytest.raises(DataError, match=message):
        parse_grid(grid)


def test_a_setting_is_given_once():
    with pytest.raises(DataError, match=r"^grid: learning_rate is in the grid, but learning_rate=0.001 is given too"):
        parse_grid(["learning_rate=1e-4,1e-5"], settings=RunSettings(learning_rate=1e-3))


def test_an_invalid_setting_of_all_variants_is_not_blamed_on_the_grid():
    with pytest.raises(DataError, match="^batch_size must be a multiple"):
        parse_grid(["epochs=1,2"], settings=RunSettings(batch_size=9))


@pytest.mark.parametrize("grid", ["margin=0.1", {"margin": [0.1]}])
def test_a_grid_that_is_no_list(grid, tmp_path):
    with pytest.raises(DataError, match=r"grid must be a list of entries, such as \['margin=0.1,0.3'"):
        compare([("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")], tmp_path / "c", grid=grid)
