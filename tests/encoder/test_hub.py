"""Uploading a model directory to the hub."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from tercet import SentenceTransformer
from tests.child import ENVIRONMENT
from tests.hub_server import running_hub


def test_a_pull_request_has_its_address(bert, monkeypatch):
    """The client of the hub is replaced, because the small server has no discussions."""
    calls = []

    class Api:
        def __init__(self, **options):
            pass

        def create_repo(self, repo_id, **options):
            calls.append(options)
            return SimpleNamespace(repo_id=repo_id)

        def file_exists(self, *arguments, **options):
            return False

        def upload_folder(self, **options):
            calls.append(options)
            return SimpleNamespace(
                pr_url="https://hub/me/tiny/discussions/7", commit_url="https://hub/me/tiny/commit/1"
            )

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    model = SentenceTransformer(str(bert), device="cpu")
    assert model.push_to_hub("me/tiny", create_pr=True).endswith("/discussions/7")
    assert calls[0] == {"private": None, "exist_ok": True}
    assert calls[1]["create_pr"] is True
    assert model.push_to_hub("me/tiny").endswith("/commit/1")


@pytest.mark.slow
def test_push_to_hub_uploads_a_complete_directory(bert, tmp_path):
    """Run the real client against a small server, in a subprocess, because it reads the address when imported."""
    code = """
import sys, warnings
from tercet import SentenceTransformer

model = SentenceTransformer(sys.argv[1], device="cpu")
print(model.push_to_hub("me/tiny", "hf_x"))
for options in ({}, {"revision": "draft", "create_pr": True}):
    try:
        model.push_to_hub("me/tiny", "hf_x", **options)
    except ValueError as error:
        print(error)
model.model_card_data.model_name = "Another title"
warnings.simplefilter("ignore")
print(model.save_to_hub("tiny", "me", token="hf_x", exist_ok=True))
model.push_to_hub("me/tiny", "hf_x", exist_ok=True, revision="draft", replace_model_card=True)
"""
    with running_hub() as hub:
        environment = {**ENVIRONMENT, "HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", code, str(bert)], env=environment, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stderr[-2000:]
    first, again, both, kept = done.stdout.strip().splitlines()
    assert first.endswith("/me/tiny/commit/1")
    assert again.startswith("the repository me/tiny exists on the hub; pass exist_ok=True")
    assert both == "a pull request is for the default branch; pass revision or create_pr=True, not both"
    assert kept.endswith("/me/tiny/commit/1")
    assert hub.branches == ["draft"]
    # The second upload leaves the card of the repository, and the last upload replaces it.
    assert hub.cards == [b"A sentence-embedding model", b"Another title"]
    expected = {"modules.json", "model.safetensors", "1_Pooling/config.json", "README.md", "tokenizer.json"}
    assert expected <= set(hub.files)
