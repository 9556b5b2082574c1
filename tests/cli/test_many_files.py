"""A folder of Parquet files: every file once, complete, by several processes, of which some are killed."""

import os
import shutil
import signal
import time

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from tercet import SentenceTransformer
from tercet.heads import LinearHead, save_head
from tests.cli.command import _tercet, run
from tests.conftest import TOPICS, build_bert
from tests.warm import WARM

_TEXTS = [text for texts in TOPICS.values() for text in texts]
_FILES = 40


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(_FILES):
        rows = {
            "id": [100 * number + row for row in range(5)],
            "text": [_TEXTS[(number + row) % 16] for row in range(5)],
        }
        parquet.write_table(pa.table(rows), tmp_path / "in" / f"part-{number:03}.parquet")
    return tmp_path


def _start(bert, folder, name):
    (folder / name).mkdir()
    words = ["encode", bert, folder / "in", "--output", folder / "out"]
    process = WARM.Process(target=_tercet, args=([str(word) for word in words], None, folder / name))
    (folder / name / "stdin").touch()
    process.start()
    return process


def _outputs(folder):
    return sorted((folder / "out").glob("*.parquet")) if (folder / "out").exists() else []


def test_killed_and_parallel_workers_write_every_row_once(folder, bert):
    for name, limit in (("first", 3), ("second", 8)):
        worker = _start(bert, folder, name)
        while len(_outputs(folder)) < limit and worker.is_alive():
            time.sleep(0.005)
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        for file in _outputs(folder):
            assert parquet.read_table(file).num_rows == 5
    assert 3 <= len(_outputs(folder)) < _FILES
    # A killed worker leaves its claim and its unfinished file. Both are taken over.
    workers = [_start(bert, folder, name) for name in ("third", "fourth")]
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    table = pa.concat_tables([parquet.read_table(file) for file in _outputs(folder)])
    assert table.column_names == ["id", "text", "embedding"]
    assert sorted(table["id"].to_pylist()) == [100 * number + row for number in range(_FILES) for row in range(5)]
    left = [path.name for path in (folder / "out").iterdir() if path.suffix != ".parquet"]
    assert left == [".tercet-settings.json"]
    times = {file: file.stat().st_mtime_ns for file in _outputs(folder)}
    again = run("encode", bert, folder / "in", "--output", folder / "out")
    assert f"0 of 40 files written to {folder / 'out'}, 0 rows; 40 already written" in again.stderr
    assert {file: file.stat().st_mtime_ns for file in _outputs(folder)} == times
    whole = folder / "whole.npy"
    run("encode", bert, f"{folder}/in/*.parquet", "--output", whole)
    np.testing.assert_allclose(np.array(table["embedding"].to_pylist()), np.load(whole), atol=1e-6)
    refused = run("encode", bert, folder / "in", "--output", folder / "out", "--normalize", expect=2)
    assert "has files of another run, with other values of 'normalize'; choose another folder" in refused.stderr


def test_a_changed_model_or_input_and_other_files_are_noticed(folder, bert):
    model, data = shutil.copytree(bert, folder / "model"), folder / "few"
    data.mkdir()
    for number in range(2):
        shutil.copy(folder / "in" / f"part-00{number}.parquet", data)
    (data / "more").mkdir()
    (data / "_SUCCESS").touch()  # as Spark writes it, and files without rows
    parquet.write_table(
        pa.table({"id": pa.array([], pa.int64()), "text": pa.array([], pa.string())}), data / "e.parquet"
    )
    words = ("encode", model, data, "--output", folder / "out")
    first = run(*words).stderr
    assert "few: only the .parquet files are read; not read: 'more'" in first
    assert f"few: files without rows get no file in {folder / 'out'}: 'e.parquet'" in first
    assert "2 of 2 files written" in first
    os.utime(data / "part-001.parquet", (time.time() + 60,) * 2)
    again = run(*words).stderr
    assert "changed since they were written to" in again
    assert ": 1 file of the input ('" in again
    assert "('part-001.parquet'); to write them again, remove those" in again
    build_bert(model, seed=1)
    refused = run(*words, expect=2)
    assert "has files of another run, with other values of 'content of the model'; choose another" in refused.stderr


def test_the_content_of_model_and_head_decides_and_not_the_spelling_of_their_paths(folder, bert):
    """So machines that mount the folders at other places can work on one output folder."""
    model, head, data = folder / "model", folder / "head", folder / "few"
    SentenceTransformer(bert, device="cpu").save_pretrained(model)
    save_head(LinearHead(torch.eye(32)), head)
    data.mkdir()
    shutil.copy(folder / "in" / "part-000.parquet", data)
    words = (data, "--output", folder / "out", "--head")
    assert "1 of 1 file written" in run("encode", model, *words, head).stderr
    (folder / "mount").symlink_to(folder)
    copy, copied_head = shutil.copytree(model, folder / "copy"), shutil.copytree(head, folder / "head-2")
    for name, head_name in (("./model", "head"), (folder / "mount" / "model", copied_head), (copy, head)):
        assert "1 already written" in run("encode", name, *words, head_name, cwd=folder).stderr
    pooling = copy / "1_Pooling" / "config.json"
    pooling.write_text(pooling.read_text().replace('mean_tokens": true', 'mean_tokens": false'))
    pooling.write_text(pooling.read_text().replace('cls_token": false', 'cls_token": true'))
    save_head(LinearHead(2 * torch.eye(32)), copied_head)
    for name, head_name in ((copy, head), (model, copied_head)):
        refused = run("encode", name, *words, head_name, expect=2).stderr
        assert "has files of another run, with other values of 'content of the model'; choose another" in refused


def test_what_is_no_folder_of_files_is_refused(folder, bert):
    refused = run("encode", bert, folder / "in", "--output", folder / "out", "--overwrite", expect=2)
    assert "--overwrite is not for a folder, whose complete files are kept" in refused.stderr
    refused = run("encode", bert, folder / "in", "--output", folder / "in", expect=2)
    assert "is the folder of the input; choose another folder" in refused.stderr
    (folder / "none").mkdir()
    refused = run("encode", bert, folder / "none", "--output", folder / "out", expect=2)
    assert "has no .parquet files" in refused.stderr
    refused = run("encode", bert, folder / "in" / "part-000.parquet", "--output", folder / "out", expect=2)
    assert "--output must end in .npy or .parquet, or be a folder" in refused.stderr
    occupied = folder / "file"
    occupied.touch()
    for arguments, message in (
        (("--output", occupied), "is a file; pass the path of a folder"),
        (("--output", folder / "out", "--limit", "2"), "--limit would apply to each file of the folder; leave it out"),
    ):
        refused = run("encode", _unloadable(folder / "model"), folder / "in", *arguments, expect=2)
        assert message in refused.stderr
    assert not (folder / "out").exists()


def _unloadable(model):
    """Return a folder that passes for a model until it is loaded."""
    model.mkdir(exist_ok=True)
    (model / "modules.json").touch()
    return model


def _write(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), path)


def test_the_text_column_of_the_first_file_is_that_of_all(folder, bert):
    data, out = folder / "news", folder / "v1.0"  # a folder with a dot
    longer, shorter = [f"{text} and {text}" for text in _TEXTS[:3]], ["a b c", "d e f g", "h i j"]
    _write(data / "a.parquet", headline=longer, note=shorter)
    _write(data / "b.PARQUET", headline=shorter, note=longer)
    _write(data / "c.parquet", headline=pa.array([None, " ", ""]), note=longer)
    words = ("encode", bert, data, "--output", out)
    first = run(*words).stderr
    assert "2 of 3 files written" in first
    assert "1 file without a text in any row gets no file in" in first
    assert "'c.parquet'" in first
    run("encode", bert, data / "b.PARQUET", "--text-column", "headline", "--output", folder / "b.npy")
    written = np.array(parquet.read_table(out / "b.PARQUET")["embedding"].to_pylist())
    np.testing.assert_allclose(written, np.load(folder / "b.npy"), atol=1e-6)
    assert "0 of 3 files written" in run(*words, "--text-column", "headline").stderr
    refused = run(*words, "--text-column", "note", expect=2)
    assert "has files of another run, with other values of 'text_column'" in refused.stderr


def test_all_files_are_checked_before_the_work(folder):
    data = folder / "news"
    _write(data / "a.parquet", headline=_TEXTS)
    words = ("encode", _unloadable(folder / "model"), data, "--output", folder / "out")
    for columns, message in (
        ({"note": _TEXTS}, "z.parquet has no column 'headline'"),
        ({"headline": _TEXTS, "embedding": range(16)}, "z.parquet already has the column 'embedding'"),
    ):
        _write(data / "z.parquet", **columns)
        assert message in run(*words, expect=2).stderr
    for column, message in (
        (pa.array([1] * 16), "z.parquet, row 0: the text is 1 (int), not a string"),
        (pa.array([[text] for text in _TEXTS]), "z.parquet, row 0: the text is ['the team won the game'] (list), not"),
        (pa.array([0] * 16, pa.date32()), "z.parquet: the column 'headline' has the type date32[day]"),
    ):
        _write(data / "z.parquet", headline=column)
        assert message in run(*words, expect=2).stderr
    twice = pa.Table.from_arrays([pa.array(_TEXTS), pa.array(range(16)), pa.array(range(16))], ["headline", "n", "n"])
    parquet.write_table(twice, data / "z.parquet")
    assert "z.parquet: several columns have the same name: 'n'; rename them" in run(*words, expect=2).stderr
    (data / "z.parquet").write_text("broken")
    assert "z.parquet is not a readable Parquet file" in run(*words, expect=2).stderr
    _write(data / "z.parquet", headline=_TEXTS)
    _write(data / "a.parquet", headline=pa.array([None], pa.string()))
    _write(data / "z.parquet", headline=pa.array([None], pa.string()))
    assert "no row of any file has a text; check --text-column" in run(*words, expect=2).stderr


def test_files_without_a_row_to_write_are_named_and_get_no_file(folder, bert):
    data, out = folder / "news", folder / "out"
    for name, part in (("a", "test"), ("b", "train"), ("c", "test"), ("d", "train")):
        _write(data / f"{name}.parquet", text=_TEXTS, part=[part] * 16)
    _write(data / "e.parquet", text=np.full(16, np.nan), part=["train"] * 16)  # as pandas writes missing texts
    words = ("encode", bert, data, "--output", out, "--split-column", "part")
    done = run(*words).stderr
    assert [file.name for file in _outputs(folder)] == ["b.parquet", "d.parquet"]
    assert f"2 of 5 files written to {out}, 32 rows; 0 already written" in done
    assert f"2 files without a row of the split get no file in {out}: 'a.parquet', 'c.parquet'" in done
    assert f"1 file without a text in any row gets no file in {out}: 'e.parquet'" in done
    refused = run(*words, "--split", "dev", expect=2).stderr
    assert "no row of any file has a text and 'dev' in the column 'part'; check --text-column and --split" in refused


def test_a_damaged_file_is_named_when_the_others_are_written(folder, bert):
    data, out = folder / "news", folder / "out"
    offsets, not_utf8 = np.array([0, 2], np.int32), b"\xff\xfe"
    damaged = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(not_utf8)])
    for name, text in (("a", _TEXTS[:1]), ("b", damaged), ("c", _TEXTS), ("d", damaged)):
        _write(data / f"{name}.parquet", text=text)
    done = run("encode", bert, data, "--output", out, expect=2).stderr
    assert [file.name for file in _outputs(folder)] == ["a.parquet", "c.parquet"]
    assert f"2 of 4 files written to {out}, 17 rows; 0 already written" in done
    assert f"error: {data}/b.parquet, row 0: the column 'text' is not UTF-8; write the file again with" in done
    assert "in UTF-8; 2 files cannot be read: 'b.parquet', 'd.parquet'" in done
    assert [path.name for path in out.iterdir() if path.suffix != ".parquet"] == [".tercet-settings.json"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(folder, bert):
    _write(folder / "x[1].parquet", text=_TEXTS)
    run("encode", bert, folder / "x[1].parquet", "--output", folder / "one.npy")
    assert len(np.load(folder / "one.npy")) == len(_TEXTS)
    refused = run("encode", bert, folder / "x[1].parquet", "--output", folder / "out", expect=2)
    assert "--output must end in .npy or .parquet" in refused.stderr


def test_a_split_chooses_files_by_their_names_and_all_splits_fit_in_one_folder(folder, bert):
    data, out = folder / "splits", folder / "out"
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        _write(data / f"{name}.parquet", text=_TEXTS, part=["test"] + ["train"] * 15)
    words = ("encode", bert, data, "--output", out)
    done = run(*words, "--split", "test")
    assert [file.name for file in _outputs(folder)] == ["test-00000-of-00001.parquet"]
    assert "the split 'test' is read; not read: 'train-00000-of-00002.parquet', 'train-0" in done.stderr
    assert "2 of 3 files written" in run(*words).stderr
    assert [len(parquet.read_table(file)) for file in _outputs(folder)] == [16] * 3
    refused = run("encode", bert, data, "--output", folder / "new", "--split", "dev", expect=2)
    assert "no file with the word 'dev' in its name, such as dev-00000-of-00001.parquet, but" in refused.stderr
    refused = run("encode", bert, folder / "in", "--output", folder / "new", "--split", "test", expect=2)
    assert "'part-000.parquet', 'part-001.parquet'" in refused.stderr
    assert "leave out --split, or pass --split-column, the column with the split of each row" in refused.stderr
    assert not (folder / "new").exists()
    refused = run("encode", bert, data / "test-00000-of-00001.parquet", "--output", folder / "a.npy", "--split", "test",
                  expect=2)  # fmt: skip
    assert "test-00000-of-00001.parquet has no splits; leave out --split, or pass --split-column" in refused.stderr
    # A column of splits chooses rows, and then the names of the files choose nothing.
    run("encode", bert, data, "--output", folder / "rows", "--split", "test", "--split-column", "part")
    assert [len(parquet.read_table(file)) for file in (folder / "rows").glob("*.parquet")] == [1] * 3
