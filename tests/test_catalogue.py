"""The catalogue: every entry refers to something real, and clashes and failing plugins are clear errors."""

import inspect
import json
import os
import subprocess
import sys

import pytest

from tercet import catalogue
from tercet.catalogue import (
    DISTANCES,
    FILE_FORMATS,
    LOSSES,
    METRICS,
    FileFormatSpec,
    LossSpec,
    MetricSpec,
    metric_text,
    resolve,
)
from tercet.distances import Distance
from tercet.errors import DataError, TercetError
from tests.child import ENVIRONMENT

REGISTRIES = {"loss": LOSSES, "distance": DISTANCES, "metric": METRICS, "file format": FILE_FORMATS}


def test_importing_the_catalogue_loads_nothing_heavy():
    code = "import sys, tercet.catalogue; print({'torch', 'numpy', 'transformers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_takes_a_margin_exactly_if_the_catalogue_says_so(name):
    loss = resolve(LOSSES[name].cls)
    arguments = inspect.signature(loss).parameters
    assert LOSSES[name].has_margin == any("margin" in argument for argument in arguments)
    assert catalogue.loss_name(loss()) == name
    assert LOSSES[name].summary


def test_a_loss_that_is_not_registered_has_no_name():
    assert catalogue.loss_name(object()) is None


@pytest.mark.parametrize("name", DISTANCES)
def test_a_distance_has_the_name_of_its_entry(name):
    distance = resolve(DISTANCES[name].distance)
    assert isinstance(distance, Distance)
    assert distance.name == name


@pytest.mark.parametrize("key", [key for key, spec in METRICS.items() if spec.score is not None])
def test_the_score_of_a_metric_is_a_function(key):
    assert callable(resolve(METRICS[key].score))


@pytest.mark.parametrize(
    ("value", "sign", "text"), [(-1e-5, False, "0.0000"), (-1e-5, True, "+0.0000"), (-0.1, True, "-0.1000")]
)
def test_a_change_that_is_rounded_to_0_has_no_minus(value, sign, text):
    assert metric_text("map@r", value, sign=sign) == text


def test_titles_and_digits_of_metrics():
    assert catalogue.metric_title("map@r") == "MAP@R"
    assert catalogue.metric_digits("map@r") == 4
    assert catalogue.metric_digits("peak_memory_mib") == 0
    assert catalogue.metric_title("manhattan_accuracy") == "triplet accuracy (manhattan)"
    assert catalogue.metric_title("knn_accuracy") == "kNN accuracy"
    assert catalogue.metric_title("recall@3") == "recall@3"


_ROWS = [{"text": "the team won", "label": "sport"}, {"text": "the bank", "label": "money"}]


def _separated(separator):
    return "\n".join(separator.join(cells) for cells in [_ROWS[0].keys(), *(row.values() for row in _ROWS)])


def _write(path):
    if path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(_ROWS), path)
        return
    if path.suffix == ".arrow":
        import pyarrow

        table = pyarrow.Table.from_pylist(_ROWS)
        with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        return
    if path.suffix == ".xlsx":
        book = pytest.importorskip("openpyxl").Workbook()
        for row in ([*_ROWS[0]], *([*row.values()] for row in _ROWS)):
            book.active.append(row)
        book.save(path)
        return
    lines = "\n".join(json.dumps(row) for row in _ROWS)
    texts = {
        ".csv": _separated(","),
        ".tsv": _separated("\t"),
        ".json": json.dumps(_ROWS),
        ".yml": json.dumps(_ROWS),
        ".yaml": json.dumps(_ROWS),
        ".txt": "".join(f"__label__{row['label']} {row['text']}\n" for row in _ROWS),
        ".md": "".join(f"## intent:{row['label']}\n- {row['text']}\n" for row in _ROWS),
    }
    path.write_text(texts.get(path.suffix, lines))


@pytest.mark.parametrize("suffix", FILE_FORMATS)
def test_the_reader_of_a_file_format_returns_columns_and_lines(suffix, tmp_path):
    path = tmp_path / f"data{suffix}"
    _write(path)
    columns, lines = resolve(FILE_FORMATS[suffix].reader)(path)
    label = "intent" if suffix == ".md" else "label"
    assert columns == {"text": ["the team won", "the bank"], label: ["sport", "money"]}
    assert lines is None or len(lines) == 2


@pytest.mark.parametrize("kind", REGISTRIES)
def test_a_name_that_is_taken_is_refused(kind):
    registry = REGISTRIES[kind]
    names = list(registry)
    with pytest.raises(TercetError, match=f"already has a {kind} named '{names[0]}'; register it under another name"):
        registry.register(registry[names[0]])
    assert list(registry) == names


def test_an_unknown_name_lists_the_names_that_exist():
    with pytest.raises(DataError, match="unknown distance 'x'; choose one of 'euclidean', 'cosine', 'manhattan'"):
        DISTANCES.find("x", DataError)
    assert "x" not in DISTANCES
    assert DISTANCES.get("x") is None


@pytest.mark.parametrize("suffix", ["csv", ".CSV"])
def test_a_suffix_that_no_file_name_can_match_is_refused(suffix):
    with pytest.raises(TercetError, match="must start with a dot and be lower case"):
        FileFormatSpec(suffix=suffix, reader="a:b", summary="")


def test_entries_are_read_in_the_order_of_their_registration():
    specs = [LossSpec(name=name, cls="a:b", summary="") for name in ("b", "a")]
    registry = catalogue.Registry("loss", specs)
    registry.register(LossSpec(name="c", cls="a:b", summary=""))
    assert list(registry) == ["b", "a", "c"]
    registry.unregister("a")
    assert list(registry) == ["b", "c"]
    assert MetricSpec(key="k", title="t").name == "k"


_PLUGIN = """
from tercet import catalogue

def register():
    names = list(catalogue.LOSSES)  # a plugin may read a table
    catalogue.LOSSES.register(catalogue.LossSpec(name="added", cls="plugin:Loss", summary="loss of a " + "plugin"))
"""


def _install_plugin(folder, code):
    """Install a package whose entry point in the group `tercet.plugins` is `plugin:register`."""
    (folder / "plugin.py").write_text(code)
    info = folder / "tercet_extra-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tercet-extra\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{catalogue.PLUGIN_GROUP}]\nextra = plugin:register\n")


def _tercet(folder, *arguments):
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join([ENVIRONMENT["PYTHONPATH"], str(folder)])}
    command = [sys.executable, "-m", "tercet", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_a_plugin_adds_a_choice_to_the_command_line(tmp_path):
    _install_plugin(tmp_path, _PLUGIN)
    assert "added: loss of a plugin" in " ".join(_tercet(tmp_path, "train", "--help").stdout.split())
    refused = _tercet(tmp_path, "train", "x.csv", "--output", str(tmp_path / "m"), "--loss", "add")
    assert "'add' is not one of" in refused.stderr
    assert "'added'" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import a_module_that_is_missing", "ModuleNotFoundError: No module named 'a_module_that_is_missing'"),
        (_PLUGIN.replace("added", "triplet"), "TercetError: the catalogue already has a loss named 'triplet'"),
        ("", "has no attribute 'register'"),
    ],
)
@pytest.mark.parametrize("arguments", [("train", "--help"), ("train", "x.csv", "--output", "m")])
def test_a_plugin_that_fails_is_one_line_that_names_it(code, reason, arguments, tmp_path):
    _install_plugin(tmp_path, code)
    done = _tercet(tmp_path, *arguments)
    assert done.returncode == 2
    assert "tercet: error: the plugin 'extra' (plugin:register) of the package 'tercet-extra' failed" in done.stderr
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    assert _tercet(tmp_path, "--version").returncode == 0


def test_a_failing_plugin_is_an_error_at_each_read(tmp_path):
    _install_plugin(tmp_path, "")
    code = (
        "from tercet.catalogue import LOSSES\n"
        "for _ in range(2):\n"
        "    try: list(LOSSES)\n"
        "    except ValueError as error: print(error)\n"
    )
    path = os.pathsep.join([ENVIRONMENT["PYTHONPATH"], str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**ENVIRONMENT, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.stdout.count("the plugin 'extra'") == 2
