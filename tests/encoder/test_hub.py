"""Uploading a model directory to the hub."""

import os
import subprocess
import sys

import pytest

from tests.hub_server import running_hub

pytestmark = pytest.mark.slow


def test_push_to_hub_uploads_a_complete_directory(bert, tmp_path):
    """Run the real client against a small server, in a subprocess, because it reads the address when imported."""
    code = (
        "import sys; from tercet import SentenceTransformer; "
        "print(SentenceTransformer(sys.argv[1], device='cpu').push_to_hub('me/tiny', token='hf_x'))"
    )
    with running_hub() as hub:
        environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", code, str(bert)], env=environment, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("/me/tiny/commit/1")
    expected = {"modules.json", "model.safetensors", "1_Pooling/config.json", "README.md", "tokenizer.json"}
    assert expected <= set(hub.files)
