"""Describe all that the embeddings of a model depend on, wherever its folder is."""

import hashlib
import json
from typing import TYPE_CHECKING, Any

from torch import nn
from transformers import PreTrainedModel

from tercet.encoder.modules.base import Module
from tercet.encoder.modules.input_module import InputModule
from tercet.encoder.weight_sample import model_identity

if TYPE_CHECKING:
    from tercet.encoder.sentence_transformer import SentenceTransformer

_SETTINGS = ("prompts", "default_prompt_name", "truncate_dim")
# Attributes of modules that change how fast an embedding is computed, not which one.
_NO_CONTENT = ("training", "packing")
_PLAIN = (str, int, float, list, tuple, dict, type(None))
# Fields of the configuration of a Transformer or of an adapter that do not decide an embedding with given weights, or
# that change when a model is saved and loaded.
_NOT_IN_CONFIG = frozenset([
    "_name_or_path", "architectures", "auto_map", "auto_mapping", "base_model_name_or_path", "dtype", "id2label",
    "inference_mode", "init_lora_weights", "initializer_range", "label2id", "output_attentions",
    "output_hidden_states", "peft_version", "problem_type", "return_dict", "revision", "torch_dtype",
    "transformers_version", "use_cache",
])  # fmt: skip
# Most changes of a tokenizer, such as of its case, change the ids of this text.
_TEXT = "The Café's 1st RÉSUMÉ:  e-mail, naïve_words & 東京!"


def model_content(model: "SentenceTransformer") -> dict[str, Any]:
    """Return what the embeddings depend on, as JSON values: weights, modules, configurations, tokenizers and settings.

    The name and the folder of the model are no part of it, so a copy in another place has the same content.
    """
    parts = {name: _describe(module) for name, module in model.named_modules() if ".auto_model." not in f".{name}"}
    return {
        **model_identity(model),
        **{name: getattr(model, name) for name in _SETTINGS},
        "modules": _sha256(parts),
    }


def _describe(module: nn.Module) -> dict[str, Any]:
    """Return the class of a module.

    For a module of Tercet, also its settings and tokenizer; for one of transformers, its configuration and adapters.
    """
    found: dict[str, Any] = {"class": type(module).__name__}
    if isinstance(module, PreTrainedModel):
        found["config"] = _config(module.config)
        if adapters := getattr(module, "peft_config", {}):
            found["adapters"] = {name: _config(config) for name, config in adapters.items()}
            found["active_adapters"] = list(module.active_adapters())
    if not isinstance(module, Module):
        return found
    found |= {
        name: str(value)
        for name, value in vars(module).items()
        if not name.startswith("_") and name not in _NO_CONTENT and isinstance(value, _PLAIN)
    }
    if isinstance(module, InputModule) and "tokenizer" in vars(module):  # A Router has those of its routes.
        found["max_seq_length"] = module.max_seq_length
        found["token_ids"] = module.token_ids([_TEXT])
        found["vocabulary"] = _sha256(sorted(module.tokenizer.get_vocab().items()))
    return found


def _config(config: Any) -> dict[str, Any]:
    return {name: value for name, value in config.to_dict().items() if name not in _NOT_IN_CONFIG}


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=_as_json).encode()).hexdigest()


def _as_json(value: Any) -> Any:
    """Return a value of a configuration that JSON does not have; the names of a set always in the same order."""
    return sorted(map(str, value)) if isinstance(value, (set, frozenset)) else str(value)
