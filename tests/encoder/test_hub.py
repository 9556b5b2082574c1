"""Uploading a model directory to the hub."""

import os
import subprocess
import sys

import pytest

from tests.hub_server import running_hub

pytestmark = pytest.mark.slow


def test_push_to_hub_uploads_a_complete_directory(bert, tmp_path):
    """Run the real client against a small server, in a subprocess, because it reads the address when imported."""
    code = """
import sys, warnings
from tercet import SentenceTransformer

model = SentenceTransformer(sys.argv[1], device="cpu")
print(model.push_to_hub("me/tiny", "hf_x"))
try:
    model.push_to_hub("me/tiny", "hf_x")
except ValueError as error:
    print(error)
model.model_card_data.model_name = "Another title"
warnings.simplefilter("ignore")
print(model.save_to_hub("tiny", "me", token="hf_x", revision="draft", create_pr=True))
"""
    with running_hub() as hub:
        environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", code, str(bert)], env=environment, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stderr[-2000:]
    first, again, request = done.stdout.strip().splitlines()
    assert first.endswith("/me/tiny/commit/1")
    assert again.startswith("the repository me/tiny exists on the hub; pass exist_ok=True")
    assert request.endswith("/me/tiny/discussions/7")
    assert hub.branches == ["draft"]
    assert b"Another title" not in hub.files["README.md"]  # The card of the repository stays.
    expected = {"modules.json", "model.safetensors", "1_Pooling/config.json", "README.md", "tokenizer.json"}
    assert expected <= set(hub.files)
