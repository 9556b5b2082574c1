"""The names of experiment trackers, and the check that they are installed."""

import pytest
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from tercet.errors import DataError
from tercet.runs import RunSettings
from tercet.runs.trackers import TRACKERS, tracker_names


def test_names_of_trackers():
    assert tracker_names("tensorboard, WandB,tensorboard") == ["tensorboard", "wandb"]
    assert tracker_names(None) == tracker_names("none") == []


def test_transformers_has_every_tracker():
    # Kubeflow has no package; it is turned on by an environment variable.
    assert set(TRACKERS) == set(INTEGRATION_TO_CALLBACK) - {"kubeflow"}


def test_an_unknown_tracker():
    with pytest.raises(DataError, match="unknown report_to 'tensorbord'; did you mean 'tensorboard'"):
        RunSettings(report_to="tensorbord").check()


def test_a_missing_package_is_one_sentence(monkeypatch, tmp_path):
    (tmp_path / "swanlab").mkdir()  # the folder of earlier runs is no package
    monkeypatch.syspath_prepend(str(tmp_path))
    message = "report_to='swanlab' needs the package swanlab, which is not installed; run pip install swanlab"
    with pytest.raises(DataError, match=message):
        RunSettings(report_to="swanlab").check()
