import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tercet.errors import DataError, ModelError
from tercet.heads import LinearHead, load_head, save_head


@pytest.fixture
def head():
    return LinearHead(torch.randn(3, 5, generator=torch.Generator().manual_seed(0)))


def test_a_saved_head_is_the_same(head, tmp_path):
    save_head(head, tmp_path / "a" / "head", facts={"settings": {"steps": 3}}, more_files={"metrics.json": {"x": 1}})
    assert torch.equal(load_head(tmp_path / "a" / "head").weight, head.weight)
    content = json.loads((tmp_path / "a/head/head.json").read_text())
    assert (content["in_dim"], content["out_dim"], content["format_version"]) == (5, 3, 1)
    assert content["settings"] == {"steps": 3}
    assert sorted(os.listdir(tmp_path / "a/head")) == ["head.json", "head.safetensors", "metrics.json"]


def test_numpy_alone_applies_a_saved_head(head, tmp_path):
    from safetensors.numpy import load_file

    save_head(head, tmp_path / "head")
    weight, x = (
        load_file(tmp_path / "head" / "head.safetensors")["weight"],
        np.random.default_rng(0).normal(size=(9, 5)),
    )
    mapped = x @ weight.T
    np.testing.assert_allclose(mapped / np.linalg.norm(mapped, axis=1, keepdims=True), head(x), atol=1e-6)


def test_other_files_of_the_folder_stay_and_the_old_head_is_replaced(head, tmp_path):
    save_head(LinearHead(torch.eye(2)), tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="overwrite=True"):
        save_head(head, tmp_path, overwrite=False)
    assert load_head(tmp_path).in_dim == 2
    save_head(head, tmp_path)
    assert load_head(tmp_path).in_dim == 5
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("head.json", "{}", "has files that are not those of a head, but have their names: 'head.json'"),
        ("head.safetensors", "mine", "have their names: 'head.safetensors'"),
        ("metrics.json", "[1]", "have their names: 'metrics.json'"),
        ("modules.json", '[{"type": "x"}]', "is the folder of a model; choose another output"),
    ],
)
def test_files_of_the_user_are_not_replaced(name, content, message, head, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        save_head(head, tmp_path, more_files={"metrics.json": {"format_version": 1}})
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_text() == content


def test_a_folder_that_is_a_file_is_refused(head, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="it is a file; pass the path of a folder"):
        save_head(head, tmp_path / "file")


def _json(**changes):
    def write(folder):
        content = json.loads((folder / "head.json").read_text())
        (folder / "head.json").write_text(json.dumps({**content, **changes}))

    return write


def _tensors(**tensors):
    return lambda folder: save_file(tensors, folder / "head.safetensors")


def _truncate(folder):
    path = folder / "head.safetensors"
    path.write_bytes(path.read_bytes()[:-4])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "head.json").unlink(), "is not the folder of a head: it has no file head.json"),
        (lambda folder: (folder / "head.json").write_text("{"), "is not valid JSON"),
        (lambda folder: (folder / "head.json").write_text("[]"), "must contain a JSON object"),
        (lambda folder: (folder / "head.safetensors").unlink(), "head.safetensors is missing"),
        (_json(format_version=2), "which a newer Tercet wrote"),
        (_json(format_version=None), "is not the file of a head"),
        (_json(in_dim=6), r"expected 'weight' of size \[3, 6\]"),
        (_json(out_dim="3"), "does not match head.json"),
        (_tensors(weight=torch.ones(3, 4)), "does not match head.json"),
        (_tensors(other=torch.ones(3, 5)), "does not match head.json"),
        (_tensors(weight=torch.full((3, 5), torch.nan)), "is not a valid head: the weight of a head has NaN"),
        (_tensors(weight=torch.ones(3, 5, dtype=torch.int32)), "is not a valid head"),
        (_truncate, "is not a valid head"),
        (lambda folder: (folder / "head.safetensors").write_bytes(b"x" * 100), "is not a valid safetensors file"),
        (lambda folder: ((folder / "head.json").unlink(), os.mkfifo(folder / "head.json")), "not a regular file"),
    ],
)
def test_a_damaged_folder_is_one_clear_error(damage, message, head, tmp_path):
    save_head(head, tmp_path)
    damage(tmp_path)
    with pytest.raises(ModelError, match=message) as caught:
        load_head(tmp_path)
    assert "\n" not in str(caught.value)


def test_another_folder_is_one_clear_error(bert, tmp_path):
    with pytest.raises(ModelError, match="it does not exist"):
        load_head(tmp_path / "missing")
    with pytest.raises(ModelError, match="it is the folder of a model"):
        load_head(bert)
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"it has no file head\.json"):
        load_head(tmp_path / "file")
