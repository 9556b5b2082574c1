"""Runs of a comparison that fail, processes that crash, and data that are refused."""

import os
import signal
import threading
import time
from dataclasses import replace

import pytest
import torch

from tercet.comparison import Variant
from tercet.comparison import loop as comparison
from tercet.comparison.subprocess_runner import _interrupts_deferred, run_in_subprocess
from tercet.errors import DataError
from tercet.records import MeanAndStd
from tests.comparison.helpers import PLAN, Damaged, Load, compare, evaluation_data, labelled_data, read_record


def test_a_variant_that_fails_is_reported_and_the_others_run(here, bert, tmp_path):
    failing = Variant(loss="batch-all", margin=-1.0, distance="euclidean")
    record = compare(bert, tmp_path / "out", replace(PLAN, variants=(failing, *PLAN.variants[1:])))
    reasons = [run.failed for run in record.runs]
    assert [reason is not None for reason in reasons] == [True, False, True, False]
    assert "the margin must be a finite number of at least 0, got -1.0" in reasons[0]
    assert record.summary[0].metrics["map@r"] == MeanAndStd(mean=None, std=None)
    assert record.recommendation.variant == "batch-hard, margin 0.3"
    assert record.recommendation.outcome == "alone"
    assert (tmp_path / "out/model/modules.json").exists()


def test_if_every_run_fails_it_is_an_error_and_resume_tries_again(here, bert, tmp_path):
    with pytest.raises(DataError, match="every run failed, the first with: .*NaN"):
        compare(bert, tmp_path / "out", load=Damaged)
    assert os.listdir(tmp_path / "out") == ["compare.json"]
    assert len(read_record(tmp_path / "out").runs) == 4
    assert compare(bert, tmp_path / "out", resume=True).finished


def _killed(_):
    os.kill(os.getpid(), signal.SIGKILL)


def _out_of_memory(_):
    raise MemoryError


def _process_id(number):
    return {"pid": os.getpid(), "number": number}


@pytest.mark.slow
def test_a_subprocess_that_crashes_is_reported_and_this_process_continues():
    assert run_in_subprocess(_killed, None) == {
        "failed": "killed by SIGKILL, probably because the machine ran out of memory"
    }
    failed = run_in_subprocess(_out_of_memory, None)["failed"]
    assert failed.startswith("out of memory; set or reduce mini_batch_tokens")
    result = run_in_subprocess(_process_id, 7)
    assert result["number"] == 7
    assert result["pid"] != os.getpid()


def test_a_model_that_changes_or_is_missing_ends_the_comparison(here, bert, tmp_path):
    class Changing(Load):
        seed = 0

        def __call__(self):
            model = super().__call__()
            with torch.no_grad():
                next(model.parameters()).add_(self.seed)
            self.seed += 1
            return model

    with pytest.raises(DataError, match="the model has changed since"):
        compare(bert, tmp_path / "out", load=Changing)
    with pytest.raises(DataError, match="no model directory at"):
        compare("./nowhere", tmp_path / "none")
    with pytest.raises(DataError, match="no model directory at"):  # the failed start has left nothing in the way
        compare("./nowhere", tmp_path / "none", replace(PLAN, minutes=1.0))
    assert len(compare(bert, tmp_path / "none").runs) == 4


def test_data_without_a_triplet_are_refused_before_anything_runs(bert, tmp_path):
    data = labelled_data()
    for rows, message in (([0, 3, 6], "needs two labels, one of which has two rows"), ([0, 1], "needs two labels")):
        with pytest.raises(DataError, match=message):
            comparison.run_comparison({None: Load(bert)}, data, evaluation_data().select(rows), tmp_path / "out", PLAN)
    with pytest.raises(DataError, match="all 16 texts of the evaluation data are also in the training data"):
        comparison.run_comparison({None: Load(bert)}, data, data, tmp_path / "out", PLAN)
    with pytest.raises(DataError, match="a batch of 9 cannot hold labels"):
        compare(bert, tmp_path / "out", replace(PLAN, settings=replace(PLAN.settings, batch_size=9)))
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no signal masks")
def test_ctrl_c_is_deferred_while_a_process_starts():
    """Another thread receives the signal, as with the threads that PyTorch starts."""
    done, ended = threading.Event(), []
    # A shell ignores Ctrl-C in the processes that it starts in the background, and they inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt():
        with _interrupts_deferred():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            ended.append(True)

    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt()
    finally:
        done.set()
        thread.join()
    assert ended
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
