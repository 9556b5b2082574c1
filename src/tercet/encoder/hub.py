"""Download models from the Hugging Face hub, and upload models to it."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from textwrap import shorten
from typing import Any

from tercet.errors import ModelError

# The keyword arguments that `SentenceTransformer` passes on to the hub and to `transformers`.
HUB_ARGUMENTS = frozenset({
    "revision", "token", "cache_folder", "model_kwargs", "tokenizer_kwargs", "config_kwargs",
})  # fmt: skip
# The files that a model may need. Weights in other formats, such as pytorch_model.bin, are not downloaded.
_ALLOWED_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.md", "*.py"]
_IGNORED_FILES = ["onnx/*", "openvino/*"]


def find_folder(name_or_folder: str, **hub: Any) -> Path:
    """Return the local folder of a model; for a model of the hub, download the files that are not in the cache.

    Raises:
        ModelError: neither the folder nor the model on the hub exists, the folder is not a model directory, the path is
            a file, or the download fails.
    """
    folder = find_local_folder(name_or_folder)
    if folder is None and name_or_folder == "bundled":
        raise ModelError("no folder 'bundled'; to load the bundled encoder, call tercet.load_model('bundled')")
    return folder or _download(name_or_folder, hub)


def find_local_folder(name_or_folder: str) -> Path | None:
    """Return the path of a model directory, or None if the name may be one on the hub.

    Raises:
        ModelError: the folder is not a model directory, the path is a file, or the name can only be a path and does not
            exist.
    """
    if "://" in name_or_folder:
        raise ModelError(f"{name_or_folder!r} is a URL; pass the name of the model on the hub, owner/name, or a folder")
    if not name_or_folder or not name_or_folder.isprintable():
        raise ModelError(f"{name_or_folder!r} is no name of a model; pass a folder, or a name on the hub")
    try:
        path = Path(name_or_folder).expanduser()
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, RuntimeError) as error:  # A name that is too long, or `~` of a user who does not exist.
        raise ModelError(f"{name_or_folder!r} is no name of a model: {error}") from None
    if is_folder:
        if not any((path / name).exists() for name in ("modules.json", "config.json", "adapter_config.json")):
            raise ModelError(f"{path} is not a model directory: it has neither modules.json nor config.json")
        return path
    if is_file:
        raise ModelError(f"{path} is a file; pass the path of a folder, or a name on the hub")
    if name_or_folder.startswith((".", "/", "~")) or name_or_folder.count("/") > 1:
        raise ModelError(f"no model directory at {path}; check the path")
    return None


def candidates(name: str) -> list[str]:
    """Return the names that a model may have on the hub.

    A name without an owner is either a model without an owner, such as bert-base-uncased, or a model of the owner
    sentence-transformers, such as all-MiniLM-L6-v2.
    """
    return [name] if "/" in name else [name, f"sentence-transformers/{name}"]


def _download(name: str, hub: dict[str, Any]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    for candidate in candidates(name):
        try:
            return Path(
                snapshot_download(
                    candidate,
                    revision=hub.get("revision"),
                    token=hub.get("token"),
                    cache_dir=hub.get("cache_folder"),
                    allow_patterns=_ALLOWED_FILES,
                    ignore_patterns=_IGNORED_FILES,
                )
            )
        except (RepositoryNotFoundError, HFValidationError):
            reason = "the hub has no model of this name, or the model is private or gated and needs a token"
        except RevisionNotFoundError:
            reason = f"the model {candidate} on the hub has no revision {hub.get('revision')!r}"
            break
        except LocalEntryNotFoundError:
            reason = "the hub cannot be reached and the model is not in the cache"
        except OSError as error:
            reason = f"the download from the hub failed: {shorten(str(error), 400, placeholder=' …')}"
    raise ModelError(f"cannot load {name!r}: it is not a local folder; {reason}")


def upload(
    save: Callable[[Path], None], repo_id: str, *, token: str | None, private: bool | None, **commit: Any
) -> str:
    """Save a model to a temporary folder, upload it to the hub, and return the URL of the commit.

    The repository is created if it does not exist.

    Args:
        save: a function that writes the model directory to the given path.
        commit: `commit_message`, `revision` and `create_pr` of `huggingface_hub.HfApi.upload_folder`.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    repo = api.create_repo(repo_id, private=private, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "model")
        result = api.upload_folder(repo_id=repo.repo_id, folder_path=Path(folder) / "model", **commit)
    return str(result.commit_url)


def public_name(name_or_path: str) -> str:
    """Return the last component of the path of an existing folder, because the path is private, or any other name."""
    path = Path(name_or_path).expanduser()
    return path.resolve().name if path.is_dir() else name_or_path
