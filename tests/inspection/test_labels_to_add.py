"""Labels that sentences with several labels lack: found, written, and applied."""

import csv
import json

import numpy as np
import pytest
import torch
from datasets import Dataset

from tercet import inspect
from tercet.cli.app import app
from tercet.data.labels.corrected_columns import with_additions
from tercet.data.labels.corrections import accepted_additions
from tercet.data.tables.table import Table
from tercet.errors import DataError
from tercet.inspection.labels_to_add import find_labels_to_add
from tercet.inspection.texts import Example
from tests.inspection.helpers import ConstantModel


def test_removed_labels_are_found():
    """Three directions, of which a sentence is a mixture: most labels that were removed are on top of the list."""
    rng = np.random.default_rng(0)
    sets = [sorted(rng.choice(6, rng.integers(1, 3), replace=False).tolist()) for _ in range(300)]
    x = torch.stack([torch.eye(6)[one].mean(0) for one in sets]) + 0.05 * torch.randn(300, 6)
    pairs = [row for row, one in enumerate(sets) if len(one) == 2]
    removed = {(row, sets[row].pop()) for row in pairs[:12]}
    examples = [Example(row=row + 5, text=f"text {row}", label="") for row in range(300)]
    found = find_labels_to_add(examples, sets, list("abcdef"), x)
    got = [(one.row - 5, "abcdef".index(one.label_to_add)) for one in found]
    assert set(got[: len(removed)]) & removed >= set(got[:8])
    assert len(set(got) & removed) >= 10
    assert not any(label in sets[row] for row, label in got)
    assert [one.log_odds for one in found] == sorted((one.log_odds for one in found), reverse=True)
    copies = [Example(row=row, text="the same", label="") for row in range(300)]
    assert find_labels_to_add(copies, sets, list("abcdef"), x) == []


@pytest.fixture
def tagged(tmp_path):
    texts = {"sport": "the team won the game", "money": "the bank cut the rate", "food": "bake the bread"}
    rows = []
    for number in range(8):
        for one, other in (("sport", "money"), ("money", "food"), ("food", "sport")):
            rows.append((f"{texts[one]} and {texts[other]} {'very ' * number}", f"{one};{other}"))
    rows[0] = (rows[0][0], "sport")
    with (tmp_path / "tagged.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return tmp_path, rows


def test_from_the_file_to_the_corrected_file(bert, tagged, capsys):
    folder, rows = tagged
    data, issues, fixed = folder / "tagged.csv", folder / "issues.csv", folder / "fixed.csv"
    options = ["--multi-label", ";"]
    app(["inspect", str(data), *options, "--model", str(bert), "--label-issues", str(issues), "--json"],
        standalone_mode=False)  # fmt: skip
    result = json.loads(capsys.readouterr().out)
    assert dict(result["texts"]["labels"]["sizes"]) == {"food": 16, "money": 15, "sport": 16}
    assert result["counts"]["labels_to_add"] == len(result["with_model"]["labels_to_add"])
    # The tiny encoder knows nothing: put the label that is missing first, as a better one would.
    with issues.open("w", newline="") as file:
        csv.writer(file).writerows([
            ("row", "line", "text", "label", "label_to_add", "log_odds", "accept"),
            (0, 2, rows[0][0], "sport", "money", 1, "yes"),
            (1, 3, rows[1][0], "food;money", "sport", 1, ""),
        ])  # fmt: skip
    with pytest.raises(SystemExit):
        app(["fix", str(data), str(issues), "--output", str(fixed)])
    assert "pass --multi-label, the separator" in capsys.readouterr().err
    app(["fix", str(data), str(issues), *options, "--output", str(fixed)], standalone_mode=False)
    assert "labels added to 1 of 24 rows" in capsys.readouterr().err
    with fixed.open() as file:
        corrected = list(csv.reader(file))[1:]
    assert corrected[0][1] == "sport;money"
    assert [row[1] for row in corrected[1:]] == [label for _, label in rows[1:]]


def test_python_takes_lists_and_shows_tables(bert):
    texts = ["the game " + "very " * number for number in range(6)]  # The tiny encoder knows no numbers.
    data = Dataset.from_dict({"text": texts, "label": [["a", "b"], ["a"], ["b"]] * 2})
    result = inspect(data, str(bert))
    assert dict(result.texts.labels.sizes) == {"a": 4, "b": 4}
    assert result.with_model.label_issues == []
    assert result.with_model.labels_to_add is not None
    one = inspect({"text": ["x", "y", "z"], "label": [["a", "b"], ["a"], []]})
    assert one.texts.missing_labels == [2]
    assert "have a label in common, such as 'a'" in one.obstacle


def test_a_constant_model_finds_no_label_and_warns():
    sets = [["a", "b"], ["a"], ["b"], ["c"]] * 3
    findings = inspect({"text": [f"one {n}" for n in range(12)], "label": sets}, ConstantModel()).with_model
    assert findings.labels_to_add is None
    assert "the same embedding, so labels cannot be checked" in findings.warning
    copies = inspect({"text": ["one a"] * 12, "label": sets}, ConstantModel()).with_model
    assert (copies.labels_to_add, copies.warning) == ([], None)


def test_additions_keep_the_form_of_a_cell():
    cells = ["a; b", ["a"], ["1", "2"], [1, 2], "['a']", "a", "[1, 2]", '["1", "2"]', "[1, 'a']"]
    new = {0: ["c"], 1: ["b", "a"], 2: ["3"], 3: ["3"], 4: ["b"], 6: ["3", "2"], 7: ["3"], 8: ["3"]}
    assert with_additions(cells, new, ";") == [
        "a; b;c", ["a", "b"], ["1", "2", "3"], [1, 2, 3], '["a", "b"]', "a", "[1, 2, 3]", '["1", "2", "3"]',
        '["1", "a", "3"]',
    ]  # fmt: skip
    table = Table("list.csv", {"row": [0, 0], "text": ["x", "x"], "label": ["a;b", "a;b"], "label_to_add": ["c", "d"],
                               "accept": ["yes", "x"]})  # fmt: skip
    assert accepted_additions(table, ["x"], ["b ;a"], "data.csv", ";") == {0: ["c", "d"]}
    with pytest.raises(DataError, match="label of row 0 of data.csv is 'b', but the list has 'a;b'"):
        accepted_additions(table, ["x"], ["b"], "data.csv", ";")
    with pytest.raises(DataError, match="have changed or are others, or multi_label is not that of the inspection"):
        accepted_additions(table, ["x"], [["a", "b"]], "data.csv", "|")  # Inspected with ";".
    with pytest.raises(DataError, match=r"no row has several labels separated by '\|'"):
        accepted_additions(table, ["x"], ["a;b"], "data.csv", "|")
