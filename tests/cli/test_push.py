"""`tercet train --push-to-hub`: checks before the training, the upload, and an upload that fails.

The real client talks to a small server. It reads the address when it is imported, so the commands are new processes.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.child import ENVIRONMENT
from tests.cli.command import train_arguments
from tests.hub_server import running_hub


@pytest.fixture
def hub():
    with running_hub() as hub:
        yield hub


def _train(hub, folder, csv_file, bert, *more, expect=0, **environment):
    arguments = train_arguments(csv_file, bert, folder / "m", "--max-steps", 2, "--device", "cpu", *more)
    return _run(hub, folder, "-m", "tercet", *arguments, expect=expect, **environment)


def _run(hub, folder, *words, expect=0, **environment):
    variables = {
        **ENVIRONMENT, "HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_x",
        "HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_XET": "1", **environment,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, *map(str, words)], env={**os.environ, **variables}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == expect, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.slow
def test_the_model_is_uploaded_without_paths_and_files_of_the_user(hub, bert, csv_file, tmp_path):
    hub.files = {".gitattributes": b"", "adapter_config.json": b"{}", "notes.txt": b"mine"}
    done = _train(hub, tmp_path, csv_file, bert, "--push-to-hub", "tiny", "--private")
    assert "model uploaded to " in done.stderr
    assert "/me/tiny/commit/1" in done.stderr
    assert hub.created[-1]["visibility" if "visibility" in hub.created[-1] else "private"] in (True, "private")
    written = {path.relative_to(tmp_path / "m").as_posix() for path in (tmp_path / "m").rglob("*") if path.is_file()}
    assert set(hub.files) == written | {".gitattributes", "notes.txt"}  # the adapter of an earlier model is removed
    for name in written - {"metrics.json"}:
        assert hub.files[name] == (tmp_path / "m" / name).read_bytes()
    settings = json.loads(hub.files["metrics.json"])["settings"]
    assert (settings["data"], settings["model"]) == ("data.csv", Path(bert).name)
    assert not any(str(csv_file.parent).encode() in content for content in hub.files.values())


@pytest.mark.slow
def test_a_failed_upload_keeps_the_model_and_names_the_command_to_repeat_it(hub, bert, csv_file, tmp_path):
    hub.fails = "/commit/"
    done = _train(hub, tmp_path, csv_file, bert, "--push-to-hub", "team/tiny", expect=2)
    assert "MAP@R" in done.stdout
    assert (tmp_path / "m/metrics.json").exists()
    assert f"the model is saved in {tmp_path / 'm'}, but the upload to team/tiny failed: " in done.stderr
    assert "the disk of the hub is full" in done.stderr
    hub.fails = None
    call = done.stderr.split('python -c "')[1].split('"')[0]
    _run(hub, tmp_path, "-c", call)
    assert {"model.safetensors", "metrics.json", "README.md"} <= set(hub.files)


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        (("me/a/b",), {}, "--push-to-hub me/a/b is not a name on the hub, such as 'me/my-model'"),
        (("me/m",), {"role": "read"}, "needs a token with the right to write, but the token can only read"),
        (("you/m",), {}, "the token belongs to 'me', who cannot write to 'you'; choose another name"),
        (("me/m",), {"fails": "whoami"}, "the hub refuses: "),
        (("me/m",), {"HF_TOKEN": ""}, "needs a token with the right to write; run hf auth login, or set HF_TOKEN"),
        (("me/m",), {"HF_HUB_OFFLINE": "1"}, "needs the hub, but HF_HUB_OFFLINE is set; unset it"),
        (("me/m",), {"HF_ENDPOINT": "http://127.0.0.1:9"}, "the hub cannot be reached"),
        (("me/m", "--lora"), {}, "needs a base model of the hub, because the adapter names it"),
    ],
)
def test_what_prevents_an_upload_is_an_error_before_the_training(
    options, change, message, hub, bert, csv_file, tmp_path
):
    environment = {name: value for name, value in change.items() if name.isupper()}
    for name, value in change.items():
        if not name.isupper():
            setattr(hub, name, value)
    done = _train(hub, tmp_path, csv_file, bert, "--push-to-hub", *options, expect=2, **environment)
    assert message in done.stderr
    assert not (tmp_path / "m").exists()
    assert "loading PyTorch" not in done.stderr


def test_private_without_push(hub, bert, csv_file, tmp_path):
    done = _train(hub, tmp_path, csv_file, bert, "--private", expect=2)
    assert "--private needs --push-to-hub" in done.stderr
