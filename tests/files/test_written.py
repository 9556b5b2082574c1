"""Checkpoints are found by their names, and only listed files are removed, even if the list was damaged."""

import pytest

from tercet._files import checkpoint_step, find_checkpoints, find_unlisted, is_listed, list_files, remove_listed


def test_checkpoints_are_sorted_by_their_steps(tmp_path):
    for name in ("checkpoint-9", "checkpoint-10", "checkpoint-", "checkpoint-best", "checkpoint-²", "my-checkpoint-3"):
        (tmp_path / name).mkdir()
    assert [path.name for path in find_checkpoints(tmp_path)] == ["checkpoint-9", "checkpoint-10"]
    assert [checkpoint_step(tmp_path / name) for name in ("checkpoint-0", "checkpoint--1", "m")] == [0, None, None]
    assert find_checkpoints(tmp_path / "missing") == []


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff", b"{", b"3", b"[[]]"])
def test_with_a_damaged_list_nothing_is_removed(content, tmp_path):
    folder = tmp_path / "checkpoint-1"
    folder.mkdir()
    (folder / "model.safetensors").write_text("weights")
    list_files(folder)
    assert find_unlisted(folder) == []
    (folder / ".tercet-files.json").write_bytes(content)
    assert is_listed(folder)
    assert "model.safetensors" in find_unlisted(folder)
    remove_listed(folder)
    assert (folder / "model.safetensors").read_text() == "weights"
