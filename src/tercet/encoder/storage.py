"""Write model directories. `tercet.encoder.model_folder` reads them.

The layout of sentence-transformers 3.x is written, which 3.x to 6.x can read (exception: see `Pooling.save`).

modules.json                       the list of modules, each with idx, name, path and type
config_sentence_transformers.json  prompts, default_prompt_name, similarity_fn_name, truncate_dim
tercet.json                        settings that sentence-transformers does not have: label names, training record, and
                                   a similarity that it does not know
config.json, model.safetensors, …  the Transformer; the other modules are in the folders 1_Pooling, 2_Dense, …; a Router
                                   is in 0_Router
README.md                          the model card
"""

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tercet._files import atomic_directory, resolve_path, write_file, write_json
from tercet._files.model_files import CARD, ENTRY_FILES, check_places, is_model_file, is_own_card
from tercet._version import __version__
from tercet.encoder.similarity import COMMON_NAMES
from tercet.errors import ModelError
from tercet.records import TrainingRecord

logger = logging.getLogger(__name__)

# The `format_version` of tercet.json. Format 1 has no such field and is otherwise the same. Both formats are read.
OWN_FORMAT_VERSION = 2


@dataclass(kw_only=True)
class ModelSettings:
    """The settings of a model directory that belong to no module; see the attributes of `SentenceTransformer`."""

    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    similarity_fn_name: str | None = None
    truncate_dim: int | None = None
    label_names: list[str] | None = None
    training_record: TrainingRecord | None = None


def save_modules(
    modules: Iterable[tuple[str, nn.Module]],
    settings: ModelSettings,
    card: str | None,
    folder: Path,
    more_files: dict[str, Any],
    *,
    overwrite: bool = True,
) -> None:
    """Write a model directory atomically.

    In an existing folder, the files of an earlier model are removed (`tercet._files.model_files`), and all others stay.
    A README.md that is not a generated model card stays too, with a warning.

    Args:
        modules: the modules with their names, from the first to the last.
        card: the text of README.md; None to write none.
        more_files: further files to write: by file name, bytes, or the content of a JSON file.
        overwrite: whether the folder may have files when the new ones are ready.

    Raises:
        DataError: another process writes to the folder, it has files although `overwrite` is False, or it is not the
            folder of a model but has files with the names of those of a model.
        ModelError: a module has no method `save`, or the folder cannot be written.
    """
    folder = resolve_path(folder)
    with atomic_directory(folder, owns=is_model_file, last=ENTRY_FILES, overwrite=overwrite) as staging:
        check_places(folder, more_files=more_files)
        entries = []
        for index, (name, module) in enumerate(modules):
            kind = type(module).__name__
            save = getattr(module, "save", None)
            if save is None:
                raise ModelError(
                    f"module {index} ({kind}) cannot be saved: it has no method save(folder); define this method"
                )
            path = "" if index == 0 and kind != "Router" else f"{index}_{kind}"
            (staging / path).mkdir(exist_ok=True)
            save(staging / path)
            entries.append({"idx": index, "name": name, "path": path, "type": f"sentence_transformers.models.{kind}"})
        _save_settings(settings, staging)
        write_json(staging / "modules.json", entries)
        for file_name, content in more_files.items():
            write_file(staging / file_name, content)
        if card is None:
            return
        if os.path.lexists(folder / CARD) and not is_own_card(folder / CARD):
            logger.warning(f"{folder / CARD} is not a generated model card, so it is kept, and no card is written")
        else:
            (staging / CARD).write_text(card, encoding="utf-8", errors="replace")


def _save_settings(settings: ModelSettings, folder: Path) -> None:
    record = settings.training_record
    config: dict[str, Any] = {
        "__version__": {"tercet": __version__, "pytorch": torch.__version__},
        "prompts": settings.prompts,
        "default_prompt_name": settings.default_prompt_name,
        "similarity_fn_name": settings.similarity_fn_name,
    }
    if settings.truncate_dim is not None:
        config["truncate_dim"] = settings.truncate_dim
    own: dict[str, Any] = {
        "format_version": OWN_FORMAT_VERSION,
        "tercet_version": __version__,
        "label_names": settings.label_names,
        "training": record.to_dict() if record else None,
    }
    if settings.similarity_fn_name not in COMMON_NAMES:  # sentence-transformers cannot load a model with this name.
        own["similarity_fn_name"] = config.pop("similarity_fn_name")
    write_json(folder / "config_sentence_transformers.json", config)
    write_json(folder / "tercet.json", own)
