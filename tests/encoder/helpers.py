"""Model directories with a tiny encoder, in the layouts of the versions of sentence-transformers."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

_PACKAGES = {
    "3.x to 5.3": ("sentence_transformers.models",) * 4,
    "5.4 to 5.7": (
        "sentence_transformers.base.modules.transformer",
        "sentence_transformers.sentence_transformer.modules.pooling",
        "sentence_transformers.base.modules.dense",
        "sentence_transformers.sentence_transformer.modules.normalize",
    ),
    "6.x": (
        "sentence_transformers.base.modules.transformer",
        "sentence_transformers.sentence_transformer.modules.pooling",
        "sentence_transformers.base.modules.dense",
        "sentence_transformers.base.modules.normalize",
    ),
}
LAYOUTS = list(_PACKAGES)
_SWITCHES = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
CONFIG = {"prompts": {"query": "the team: "}, "default_prompt_name": None, "similarity_fn_name": "dot"}


def write_layout(encoder: Path, folder: Path, layout: str, pooling: str = "mean", max_length: int = 7) -> Path:
    """Write a directory of Transformer, Pooling, Dense and Normalize in the layout of a version."""
    shutil.copytree(encoder, folder)
    kinds = ("Transformer", "Pooling", "Dense", "Normalize")
    paths = ["", "1_Pooling", "2_Dense", "3_Normalize"]
    entries = [
        {"idx": index, "name": str(index), "path": path, "type": f"{package}.{kind}"}
        for index, (package, kind, path) in enumerate(zip(_PACKAGES[layout], kinds, paths, strict=True))
    ]
    for path in paths[1:]:
        (folder / path).mkdir()
    old = layout == LAYOUTS[0]
    if old:
        settings = {"max_seq_length": max_length, "do_lower_case": False}
        switches = {switch: mode == pooling for mode, switch in _SWITCHES.items()}
        pooled = {"word_embedding_dimension": 32, **switches, "include_prompt": True}
    else:
        settings = {
            "transformer_task": "feature-extraction",
            "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
            "module_output_name": "token_embeddings",
        }
        pooled = {"embedding_dimension": 32, "pooling_mode": pooling, "include_prompt": True}
        tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "tokenizer_config.json").write_text(json.dumps({**tokenizer, "model_max_length": max_length}))
    dense = {
        "in_features": 32, "out_features": 8, "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh",
    }  # fmt: skip
    torch.manual_seed(1)
    save_file(
        {"linear.weight": torch.randn(8, 32), "linear.bias": torch.randn(8)}, folder / "2_Dense/model.safetensors"
    )
    contents = {
        "modules.json": entries,
        "sentence_bert_config.json": settings,
        "config_sentence_transformers.json": CONFIG,
        "1_Pooling/config.json": pooled,
        "2_Dense/config.json": dense,
    }
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))
    return folder
