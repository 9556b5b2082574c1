"""Upload the folder of a trained model to the Hugging Face hub, and check before the training that this is possible.

This module does not import torch.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tercet._display import one_line
from tercet._files import expand_path, read_json
from tercet._files.model_files import CARD, METRICS_FILE, is_model_file
from tercet.encoder.names import BUNDLED, ENCODER_PACKAGE
from tercet.errors import DataError, ModelError
from tercet.records import public_settings
from tercet.runs.settings import DEFAULT_MODEL, RunSettings

_ADAPTER = "adapter_config.json"


def check_upload(repo_id: str, *, model: Any, settings: RunSettings) -> None:
    """Check before a training that its model can be uploaded: name, token and permission.

    Args:
        repo_id: the name on the hub, such as `me/my-model`; without an owner, the user is the owner.
        model: the model to train: a name, a folder or a model.
        settings: the settings of the run.

    Raises:
        DataError: the name is invalid, there is no token, it does not allow the upload, or the hub cannot be reached.
    """
    from huggingface_hub import HfApi, constants, get_token
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    wanted = f"push_to_hub={repo_id!r}"
    later = "or leave out push_to_hub and upload the model later"
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise DataError(f"{wanted} is not a name on the hub, such as 'me/my-model': {one_line(str(error))}") from None
    if settings.lora and isinstance(model, (str, Path)) and str(model) != BUNDLED and Path(model).expanduser().is_dir():
        raise DataError(
            f"{wanted} with lora=True needs a base model of the hub, because the adapter names it, but {str(model)!r} "
            "is a folder; pass a name on the hub, or leave out one of the two arguments"
        )
    if constants.HF_HUB_OFFLINE:
        raise DataError(f"{wanted} needs the hub, but HF_HUB_OFFLINE is set; unset it, {later}")
    if get_token() is None:
        raise DataError(f"{wanted} needs a token with the right to write; run hf auth login, or set HF_TOKEN")
    api = HfApi()
    try:
        user = api.whoami()
        owner = repo_id.partition("/")[0] if "/" in repo_id else user["name"]
        if user.get("auth", {}).get("accessToken", {}).get("role") == "read":
            raise DataError(f"{wanted} needs a token with the right to write, but the token can only read")
        if owner not in {user["name"], *(organization["name"] for organization in user.get("orgs", ()))}:
            raise DataError(
                f"{wanted}: the token belongs to {user['name']!r}, who cannot write to {owner!r}; choose another name"
            )
        with suppress(RepositoryNotFoundError):  # It will be created.
            api.auth_check(f"{owner}/{repo_id.rpartition('/')[2]}", write=True)
    except DataError:
        raise
    except HfHubHTTPError as error:
        raise DataError(f"{wanted}: the hub refuses: {_reason(error)}; correct that, {later}") from None
    except Exception as error:  # Each HTTP client has its own exceptions.
        raise DataError(f"{wanted}: the hub cannot be reached ({type(error).__name__}); try again, {later}") from None


def push_to_hub(
    folder: str | Path, repo_id: str, *, private: bool | None = None, commit_message: str = "Add a model of Tercet"
) -> str:
    """Upload the folder of a trained model with its model card and `metrics.json`, and return the URL of the commit.

    The repository is created if it does not exist. Files of an earlier model in it are removed in the same commit. Only
    files of the model are uploaded, and `metrics.json` without the folders of this machine.

    Args:
        folder: the folder of the model.
        repo_id: the name on the hub, such as `me/my-model`.
        private: whether a new repository is private; None uses the default of the owner.
        commit_message: the message of the commit.

    Raises:
        ModelError: the folder is not that of a model, or the upload failed. The message has the command to repeat it.

    Example:
        from tercet.runs import push_to_hub

        push_to_hub("my-model", "me/my-model")
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    folder = expand_path(folder)
    if not (folder / "modules.json").exists():
        raise ModelError(f"{folder} is not the folder of a model: it has no modules.json")
    files = dict(_public_files(folder))
    try:
        api = HfApi()
        name = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        old = [path for path in api.list_repo_files(name) if is_model_file(path) and path not in files]
        result = api.create_commit(
            name,
            [
                *(CommitOperationAdd(path_in_repo=path, path_or_fileobj=content) for path, content in files.items()),
                *(CommitOperationDelete(path_in_repo=path) for path in old),
            ],
            commit_message=commit_message,
        )
    except Exception as error:  # Each HTTP client has its own exceptions.
        more = "" if private is None else f", private={private}"
        call = f"push_to_hub({str(folder)!r}, {repo_id!r}{more})"
        raise ModelError(
            f"the model is saved in {folder}, but the upload to {repo_id} failed: {_reason(error)}. Upload it later "
            f'with: python -c "from tercet.runs import push_to_hub; {call}"'
        ) from error
    return str(result.commit_url)


def _public_files(folder: Path) -> Iterator[tuple[str, Path | bytes]]:
    """Yield the path in the repository and the file or the content, for each file of the model."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or not (is_model_file(name) or name in (CARD, METRICS_FILE)):
            continue
        if name == METRICS_FILE:
            content = read_json(path)
            yield name, _json({**content, "settings": public_settings(content.get("settings") or {})})
        elif name == _ADAPTER:
            yield name, _json(_public_adapter(read_json(path), folder))
        else:
            yield name, path


def _public_adapter(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the configuration of an adapter with the name of its base model on the hub."""
    base = Path(str(config.get("base_model_name_or_path")))
    if base.parent.name == ENCODER_PACKAGE:  # The bundled encoder is this model.
        return {**config, "base_model_name_or_path": DEFAULT_MODEL}
    if base.is_absolute():
        raise ModelError(
            f"the adapter in {folder} names the folder {base} as its base model, which others do not have; train it "
            "with a base model of the hub"
        )
    return config


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _reason(error: Exception) -> str:
    return one_line(str(error))[:300] or type(error).__name__
