"""Distinguish the files of a model folder from other files.

A folder that gets a new model must not keep files of an old one that a reader of models would combine with it: weights,
adapters, tokenizers, settings, in the folder itself and in the folders of its modules. All other files stay.

The names of these files are common, such as `config.json`. So they are removed only from a folder that is one of a
model (`is_model_folder`); in any other folder they are files of the user, and `check_places` refuses the folder.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tercet._files.json_files import read_json, read_json_value
from tercet.errors import DataError, ModelError, listed

CARD = "README.md"
# The file of a training run in the folder of its model.
METRICS_FILE = "metrics.json"
# The files of a classifier of labels, in the folder of its model.
CLASSIFIER_FILE, CLASSIFIER_WEIGHTS = "label_classifier.json", "label_classifier.safetensors"
# The first has the texts of the gallery, if they are kept.
MAX_CLASSIFIER_BYTES = 2**31
# These files say what a folder is. They leave first and arrive last, `config.json` as the very last: without it, the
# first module cannot be loaded, so no reader accepts a folder in which files of two models are mixed.
ENTRY_FILES = ("modules.json", "adapter_config.json", "config.json")
# The files that transformers, peft and sentence-transformers look for by their names.
_NAMES = (
    *ENTRY_FILES, "generation_config.json", "config_sentence_transformers.json", "sentence_*_config.json",
    "router_config.json", "tercet.json", "training_args.bin", "quantization_config.json", "quantize_config.json",
    "quant_config.json",
    # weights
    "model.safetensors", "model.*.safetensors", "model-[0-9]*-of-[0-9]*.safetensors", "model.safetensors.index*.json",
    "pytorch_model.bin", "pytorch_model.*.bin", "pytorch_model-[0-9]*-of-[0-9]*.bin", "pytorch_model.bin.index*.json",
    "tf_model.h5", "tf_model-[0-9]*.h5", "tf_model.h5.index.json", "flax_model.msgpack", "flax_model-[0-9]*.msgpack",
    "flax_model.msgpack.index.json", "rust_model.ot", "model.ckpt.index", "model.ckpt.data-*", "model.ckpt.meta",
    "adapter_model.safetensors*", "adapter_model.bin*", "adapter_model-[0-9]*.safetensors",
    "model.onnx", "model.onnx_data", "model_*.onnx", "model_*.onnx_data", "openvino_model.xml", "openvino_model.bin",
    "openvino_model_*.xml", "openvino_model_*.bin",
    # tokenizers
    "tokenizer.json", "tokenizer.[0-9]*.json", "tokenizer_config.json", "tokenizer_config.[0-9]*.json",
    "tokenizer.model", "tokenizer.model.v*", "special_tokens_map.json", "added_tokens.json",
    "vocab.txt", "vocab.json", "vocab.bpe", "vocab.model", "vocab.pkl", "vocab-*.json", "entity_vocab.json",
    "merges.txt", "spiece.model", "sentencepiece*.model", "spm.model", "*.tiktoken", "bpe.codes", "unigram.json",
    "tekken.json", "prophetnet.tokenizer", "chat_template.json", "chat_template.jinja", "whitespace_config.json",
    "preprocessor_config.json", "processor_config.json", "router_config.json",
    # the classifier of labels
    CLASSIFIER_FILE, CLASSIFIER_WEIGHTS,
)  # fmt: skip
# The modules of sentence-transformers. Module N is in the folder N_NAME.
_MODULES = (
    "Transformer|Pooling|Dense|Normalize|LayerNorm|Dropout|CNN|LSTM|WeightedLayerPooling|WordEmbeddings|WordWeights|BoW|"
    "StaticEmbedding|Router|Asym|CLIPModel|MLMTransformer|SpladePooling|SparseStaticEmbedding|SparseAutoEncoder|"
    "BERT|RoBERTa|DistilBERT|ALBERT|XLMRoBERTa|XLNet|CamemBERT|T5"
)
_MODULE = rf"[0-9]{{1,2}}_({_MODULES})"
# The folders with files of a model: of module N, of module N of a route, of models in other formats, and of chat
# templates. The routes are in the folder of the Router, or in that of the model.
_FOLDERS = re.compile(rf"{_MODULE}|([0-9]{{1,2}}_Router/)?[^/]+_{_MODULE}|onnx|openvino|additional_chat_templates")


def is_model_file(name: str) -> bool:
    """Return whether the path of a file in a model folder, with `/`, is one that readers of models look for.

    For a folder, with `/` at the end, return whether it may have such files.
    """
    folder, slash, file = name.rpartition("/")
    if slash and not _FOLDERS.fullmatch(folder):
        return False
    if folder == "additional_chat_templates" and file.endswith(".jinja"):
        return True
    return file == "" or any(fnmatchcase(file, pattern) for pattern in _NAMES)


def classifier_labels(folder: Path) -> list[str]:
    """Return the labels of the classifier in a folder; none if its file is damaged, which its reader reports.

    Raises:
        ModelError: the file is missing or no JSON object.
    """
    labels = read_json(folder / CLASSIFIER_FILE, max_bytes=MAX_CLASSIFIER_BYTES).get("labels")
    return list(map(str, labels)) if isinstance(labels, list) else []


def is_model_folder(folder: Path) -> bool:
    """Return whether a file in `folder` says that this is the folder of a model or of its tokenizer."""
    modules = _read(folder / "modules.json")
    if (
        isinstance(modules, list)
        and modules
        and all(isinstance(module, dict) and "type" in module for module in modules)
    ):
        return True
    for name, fields in (
        ("config.json", {"model_type", "architectures"}),
        ("adapter_config.json", {"peft_type"}),
        ("tokenizer_config.json", {"tokenizer_class", "model_max_length"}),
        ("tercet.json", {"tercet_version"}),
    ):
        content = _read(folder / name)
        if isinstance(content, dict) and fields & content.keys():
            return True
    return False


def has_classifier(folder: Path) -> bool:
    """Return whether a folder has a classifier of labels."""
    return (folder / CLASSIFIER_FILE).exists()


def check_places(target: Path, *, more_files: Iterable[str] = (METRICS_FILE,)) -> None:
    """Raise `DataError` if a model cannot be written to `target` without a loss of files of the user.

    Args:
        target: the folder. It need not exist.
        more_files: the names of the files that are written beside the model.
    """
    if not target.is_dir():
        return
    is_model = is_model_folder(target)
    foreign = []
    for entry in target.iterdir():
        name = entry.name
        if entry.is_symlink():  # A link is replaced, but not the file that it leads to.
            continue
        if entry.is_dir():
            if is_model_file(name) or name in (CARD, *more_files):
                raise DataError(f"{entry} is a folder, but a file of the model has this name; move it away")
            if not is_model and is_model_file(f"{name}/"):
                inside = (f"{name}/{path.name}" for path in entry.iterdir() if path.is_file())
                foreign += [path for path in inside if is_model_file(path)]
        elif is_model_file(f"{name}/"):
            raise DataError(f"{entry} is a file, but a folder of the model may have this name; move it away")
        elif (is_model_file(name) and not is_model) or (
            name in more_files and not is_model_file(name) and not is_record(entry)
        ):
            foreign.append(name)
    if foreign:
        raise DataError(
            f"{target} has files that are not those of a model, but have their names: {listed(sorted(foreign))}; move "
            "them away, or choose another output"
        )


def is_own_card(path: Path) -> bool:
    """Return whether Tercet or sentence-transformers generated a model card, so that a new one may replace it."""
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, ValueError):
        return False
    front, separator, body = text.removeprefix("---\n").partition("\n---\n")
    if not separator or "sentence-transformers" not in front:
        return False
    tercet = "\n- tercet" in front and re.search(r"^# A (sentence|text)-embedding model", body, re.MULTILINE)
    return bool(tercet) or "This is a [sentence-transformers](" in body or "[sentence-transformers](https" in body


def is_record(path: Path) -> bool:
    """Return whether a JSON file is the record of a run of Tercet."""
    content = _read(path)
    return isinstance(content, dict) and ("tercet_version" in content or "format_version" in content)


def _read(path: Path) -> Any:
    """Return the JSON value in a file, or None if there is none."""
    with suppress(ModelError):
        return read_json_value(path)
    return None
