"""Download models from the Hugging Face hub, and upload models to it."""

import tempfile
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from textwrap import shorten
from typing import Any

from tercet.errors import ModelError, listed

# The keyword arguments that `SentenceTransformer` passes on to the hub and to `transformers`.
HUB_ARGUMENTS = frozenset({
    "revision", "token", "cache_folder", "local_files_only", "model_kwargs", "tokenizer_kwargs", "config_kwargs",
})  # fmt: skip
# Older and newer names of these arguments in sentence-transformers.
_OTHER_NAMES = {"processor_kwargs": "tokenizer_kwargs", "use_auth_token": "token"}
# The files that a model may need. Weights in other formats, such as pytorch_model.bin, are not downloaded.
_ALLOWED_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.md", "*.py"]
_IGNORED_FILES = ["onnx/*", "openvino/*"]


def hub_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Return keyword arguments of `SentenceTransformer` by the names in `HUB_ARGUMENTS`.

    Raises:
        TypeError: an argument is unknown.
        ModelError: an argument is given by two names, or `backend` is not "torch".
    """
    hub = dict(given)
    if (backend := hub.pop("backend", "torch")) != "torch":
        raise ModelError(
            f"backend={backend!r} is not supported, models run on PyTorch; save the model and load the folder with "
            f"sentence_transformers.SentenceTransformer(folder, backend={backend!r})"
        )
    for other, name in _OTHER_NAMES.items():
        value = hub.pop(other, None)
        if value is not None and hub.get(name) is not None:
            raise ModelError(f"{other} is another name of {name}; pass only {name}")
        if value is not None:
            hub[name] = value
    if unknown := set(hub) - HUB_ARGUMENTS:
        raise TypeError(
            f"SentenceTransformer has no argument {listed(sorted(unknown))}; "
            f"further arguments are {listed(sorted(HUB_ARGUMENTS), limit=10)}"
        )
    return hub


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
                    local_files_only=bool(hub.get("local_files_only")),
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
    source: Callable[[Path], None] | Path,
    repo_id: str,
    *,
    token: str | None,
    private: bool | None,
    exist_ok: bool,
    replace_card: bool,
    revision: str | None,
    create_pr: bool,
    commit_message: str,
) -> str:
    """Upload a model directory to the hub, and return the URL of the commit, or of the pull request.

    The repository is created if it does not exist, and so is the branch `revision`.

    Args:
        source: a folder, or a function that writes the model directory to the given path.
        exist_ok: whether the repository may exist.
        replace_card: whether to replace the README.md of the repository.

    Raises:
        ModelError: the repository exists although `exist_ok` is False, or both `revision` and `create_pr` are given.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    if create_pr and revision is not None:
        raise ModelError("a pull request is for the default branch; pass revision or create_pr=True, not both")
    api = HfApi(token=token)
    try:
        repo_id = api.create_repo(repo_id, private=private, exist_ok=exist_ok).repo_id
    except HfHubHTTPError as error:
        if error.response is None or error.response.status_code != HTTPStatus.CONFLICT:
            raise
        raise ModelError(
            f"the repository {repo_id} exists on the hub; pass exist_ok=True to add a commit to it, or another name"
        ) from None
    if revision is not None:
        api.create_branch(repo_id=repo_id, branch=revision, exist_ok=True)
    keep_card = exist_ok and not replace_card and api.file_exists(repo_id, "README.md", revision=revision)
    with tempfile.TemporaryDirectory() as temporary:
        folder = source if isinstance(source, Path) else Path(temporary) / "model"
        if not isinstance(source, Path):
            source(folder)
        result = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            commit_message=commit_message,
            revision=revision,
            create_pr=create_pr,
            ignore_patterns=["README.md"] if keep_card else None,
        )
    return str(result.pr_url if create_pr else result.commit_url)


def public_name(name_or_path: str) -> str:
    """Return the last component of the path of an existing folder, because the path is private, or any other name."""
    path = Path(name_or_path).expanduser()
    return path.resolve().name if path.is_dir() else name_or_path
