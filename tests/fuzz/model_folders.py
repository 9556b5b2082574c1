"""Load and use a saved model with one thing broken.

The embeddings must be those of the unbroken model, or the model must be refused. Some values in the files choose
another valid model, such as the pooling mode; then the embeddings must be finite and differ between sentences.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file

from tercet import SentenceTransformer
from tercet.encoder.loading import load_model
from tercet.encoder.modules import Dense, Normalize
from tests.conftest import TOPICS, build_bert
from tests.fuzz.mutate import break_file, break_json
from tests.fuzz.outcome import Area, CaseRandom, Finding, refusable

SENTENCES = [sentence for topic in TOPICS.values() for sentence in topic]

# Keys whose value chooses another valid model.
_OTHER_MODEL = {
    "config.json": {"hidden_act", "layer_norm_eps", "num_attention_heads", "position_embedding_type", "pad_token_id",
                    "is_decoder", "add_cross_attention", "dtype", "torch_dtype", "chunk_size_feed_forward"},
    "sentence_bert_config.json": {"max_seq_length", "do_lower_case"},
    "config_sentence_transformers.json": {"prompts", "default_prompt_name", "truncate_dim"},
    "tercet.json": {"prompts", "default_prompt_name"},
    "1_Pooling/config.json": None,
    "2_Dense/config.json": {"activation_function", "bias"},
    "tokenizer.json": None,
    "tokenizer_config.json": None,
    "special_tokens_map.json": None,
    "modules.json": None,
}  # fmt: skip


def prepare(folder: Path) -> dict[str, Any]:
    """Save a tiny model with all kinds of modules, and a plain encoder."""
    encoder = build_bert(folder / "encoder")
    model = SentenceTransformer(encoder, device="cpu")
    width = model.get_sentence_embedding_dimension()
    SentenceTransformer(modules=[*model.children(), Dense(width, 16), Normalize()]).save_pretrained(folder / "saved")
    return {kind: (folder / kind, _embed(folder / kind)) for kind in ("encoder", "saved")}


def case(state: dict[str, Any], rng: CaseRandom, folder: Path) -> str:
    """Break one thing of a copy of a model, then load it and encode with it."""
    source, expected = state[rng.choice(["saved", "saved", "encoder"])]
    target = folder / "model"
    shutil.copytree(source, target)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    other = False
    kind = rng.choice(["file", "json", "json", "json", "weights"])
    if kind == "file":
        path = rng.choice(files)
        done = break_file(path, rng)
        # Bytes of weights and of a vocabulary have no check sum: other bytes are another model.
        other = done.startswith("flip") and path.suffix in {".safetensors", ".json", ".txt"}
        other = other or path.name in {
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt",
            "special_tokens_map.json",
        }
        other = other or path.name in {"modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"}
    elif kind == "json":
        path = rng.choice([path for path in files if path.suffix == ".json"])
        done, key = break_json(path, rng)
        changing = _OTHER_MODEL.get(str(path.relative_to(target)), set())
        other = changing is None or key in changing
    else:
        path = rng.choice([path for path in files if path.suffix == ".safetensors"])
        done, other = _break_weights(path, rng)
    rng.note(done)
    embeddings = refusable(lambda: _embed(target))
    if not np.isfinite(embeddings).all():
        raise Finding("embeddings with NaN or infinite values")
    same = embeddings.shape == expected.shape and np.abs(embeddings - expected).max() < 1e-4
    if not same and not other:
        raise Finding("other embeddings, without an error")
    if len(np.unique(embeddings.round(4), axis=0)) < 4:
        raise Finding(
            f"{len(np.unique(embeddings.round(4), axis=0))} different embeddings of {len(SENTENCES)} sentences"
        )
    return f"{done}: {'the same' if same else 'another model'}"


def _break_weights(path: Path, rng: CaseRandom) -> tuple[str, bool]:
    tensors = load_file(path)
    name = rng.choice(sorted(tensors))
    done = rng.choice(["drop", "nan", "inf", "shape", "prefix", "prefix", "rename", "drop many", "extra", "integers"])
    if done == "drop":
        del tensors[name]
    elif done in {"nan", "inf"}:
        tensors[name].view(-1)[rng.randrange(tensors[name].numel())] = float(done)
    elif done == "shape":
        tensors[name] = tensors[name].repeat(*([2] * tensors[name].dim()))
    elif done == "prefix":
        prefix = rng.choice(["_orig_mod.", "module.", "0.auto_model.", "encoder.", "x."])
        tensors = {prefix + key: value for key, value in tensors.items()}
        done += " " + prefix
    elif done == "rename":
        tensors[name + "_"] = tensors.pop(name)
    elif done == "drop many":
        tensors = {key: value for key, value in tensors.items() if rng.random() < 0.5}
    elif done == "extra":
        tensors["extra.weight"] = tensors[name].clone()
    else:
        tensors[name] = (tensors[name] * 100).int()
    save_file(tensors, path, metadata={"format": "pt"})
    # The pooler is not used. Without a bias in the file, a Dense module has none.
    return f"{path.parent.name}/{path.name}: {done} ({name})", "pooler" in name or done == "integers"


def _embed(folder: Path) -> np.ndarray:
    model = load_model(str(folder), device="cpu")
    return np.asarray(model.encode(SENTENCES))


AREA = Area("model_folders", prepare, case)
