"""Models on the Hugging Face hub: download one, upload one."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tercet.errors import ModelError

# The keyword arguments of `SentenceTransformer` for the hub and for `transformers`.
HUB_ARGUMENTS = frozenset({
    "revision", "token", "cache_folder", "model_kwargs", "tokenizer_kwargs", "config_kwargs",
})  # fmt: skip
# The files that a model may need. Weights of the same model in other formats are not downloaded.
_ALLOWED_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.md", "*.py"]
_IGNORED_FILES = ["onnx/*", "openvino/*"]


def find_folder(name_or_folder: str, **hub: Any) -> Path:
    """Return the local folder of a model: the folder itself, or a snapshot from the hub, downloaded if necessary.

    Raises:
        ModelError: there is no model, or the hub cannot be reached.
    """
    path = Path(name_or_folder).expanduser()
    if path.is_dir():
        if not any((path / name).exists() for name in ("modules.json", "config.json")):
            raise ModelError(f"{path} holds no model: neither modules.json nor config.json is in it")
        return path
    if path.is_file():
        raise ModelError(f"{path} is a file; a model is a folder or a name on the hub")
    if name_or_folder.startswith((".", "/", "~")) or name_or_folder.count("/") > 1:
        raise ModelError(f"no model directory at {path}")
    return _download(name_or_folder, hub)


def _download(name: str, hub: dict[str, Any]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    # A name without an owner belongs to the hub itself (bert-base-uncased) or else to sentence-transformers.
    candidates = [name] if "/" in name else [name, f"sentence-transformers/{name}"]
    for candidate in candidates:
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
            reason = "the hub has no such model (or it is private and needs a token)"
        except (LocalEntryNotFoundError, OSError):
            reason = "the hub cannot be reached and the model is not in the cache"
    raise ModelError(f"no folder {name!r} here, and {reason}")


def upload(
    save: Callable[[Path], None], repo_id: str, *, token: str | None, private: bool | None, **commit: Any
) -> str:
    """Upload a model directory to the hub and return the address of the commit.

    Args:
        save: a function that writes the model directory to a path.
        commit: `commit_message`, `revision` and `create_pr`, see `huggingface_hub.HfApi.upload_folder`.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    repo = api.create_repo(repo_id, private=private, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "model")
        result = api.upload_folder(repo_id=repo.repo_id, folder_path=Path(folder) / "model", **commit)
    return str(result.commit_url)


def public_name(name_or_path: str) -> str:
    """Return a name on the hub unchanged, and only the last part of a folder, whose other parts are private."""
    path = Path(name_or_path).expanduser()
    return path.resolve().name if path.is_dir() else name_or_path
