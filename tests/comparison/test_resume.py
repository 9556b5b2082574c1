"""Comparisons that were stopped are resumed, or replaced."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from tercet.comparison.files import read_comparison
from tercet.errors import DataError
from tests.child import ENVIRONMENT, ROOT
from tests.comparison.helpers import (
    PLAN,
    Damaged,
    compare,
    labelled_data,
    read_record,
)
from tests.waiting import wait_until

_CHANGES_EACH_TIME = ("seconds_per_step", "seconds", "head_seconds", "peak_memory_mib")


def _without_times(record):
    """Return the record without what depends on the time of the run."""
    content = record.to_dict()
    for fields in (*content["runs"], *(line["metrics"] for line in content["summary"])):
        for name in _CHANGES_EACH_TIME:
            fields.pop(name, None)
    for name in ("variant", "seed", "reason"):  # among equal variants the faster one is recommended
        del content["recommendation"][name]
    return content


@pytest.mark.slow
def test_a_comparison_that_was_killed_resumes_to_the_same_results(here, bert, tmp_path):
    output = tmp_path / "killed"
    command = [sys.executable, "-m", "tests.comparison.comparison_run", str(bert), str(output)]
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT)
    wait_until(lambda: (output / "compare.json").exists() and read_record(output).runs != [], process)
    wait_until(lambda: len(os.listdir(output / ".runs")) > 1, process)  # the second run has begun
    process.kill()
    process.wait()
    before = read_record(output)
    assert not before.finished
    assert 0 < len(before.runs) < 4
    subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True, timeout=300)
    resumed = read_record(output)
    assert resumed.runs[: len(before.runs)] == before.runs
    assert _without_times(resumed) == _without_times(compare(bert, tmp_path / "undisturbed"))
    assert sorted(os.listdir(output)) == ["compare.json", "model"]


def test_what_resume_refuses(here, bert, tmp_path):
    out = tmp_path / "out"
    calls = []

    def stop(_):
        calls.append(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # Without a compare.json, `resume` starts the comparison.
        compare(bert, out, report_progress=stop, resume=True)
    with pytest.raises(
        DataError, match=r"unfinished comparison with 1 run\(s\); add resume=True to continue it, or overwrite=True"
    ):
        compare(bert, out)
    with pytest.raises(DataError, match=r"was started with seeds \[3, 4\], but now it is \[3, 4, 5\]; pass the same"):
        compare(bert, out, replace(PLAN, seeds=(3, 4, 5)), resume=True)
    with pytest.raises(DataError, match='was started with budget {"steps": 10}, but now it is {"minutes": 1}'):
        compare(bert, out, replace(PLAN, minutes=1), resume=True)
    with pytest.raises(DataError, match=r"different training data: 16 rows then, 15 now"):
        compare(bert, out, data=labelled_data().select(range(15)), resume=True)
    record = compare(bert, out, resume=True)
    again = compare(bert, out, resume=True, report_progress=stop)  # nothing is left to do
    assert again == record
    assert calls == [1]
    with pytest.raises(DataError, match="has a finished comparison; pass another output, or overwrite=True"):
        compare(bert, out)


@pytest.mark.parametrize(
    ("map_at_r", "copies", "message"),
    [
        ("high", 1, "map@r of the run of NAME is 'high', which is not a number"),
        (99.0, 1, "map@r of the run of NAME is 99.0, which is not between 0 and 1"),
        (0.5, 2, "the run of NAME is there twice"),
    ],
)
def test_a_record_that_was_edited_is_not_resumed(map_at_r, copies, message, tmp_path):
    content = json.loads((ROOT / "tests/fixtures/format-2/compare.json").read_text())
    run = content["runs"][0]
    run["metrics"]["map@r"] = map_at_r
    content["runs"] = [run] * copies
    (tmp_path / "compare.json").write_text(json.dumps(content))
    message = message.replace("NAME", f"{run['variant']} with seed {run['seed']}")
    with pytest.raises(DataError, match=f"was changed since the comparison wrote it: {re.escape(message)}"):
        read_comparison(tmp_path, resume=True)


def test_overwrite_removes_the_model_of_the_earlier_comparison(here, bert, tmp_path):
    compare(bert, tmp_path / "out")
    with pytest.raises(DataError, match="no model directory at"):
        compare("./nowhere", tmp_path / "out", overwrite=True)
    assert sorted(os.listdir(tmp_path / "out")) == ["compare.json", "model"]  # a mistyped model loses nothing
    with pytest.raises(DataError, match="every run failed"):
        compare(bert, tmp_path / "out", load=Damaged, overwrite=True)
    assert os.listdir(tmp_path / "out") == ["compare.json"]
