"""Tell the files of a model folder from other files.

A folder that gets a new model must not keep files of an old one that a reader of models would combine with it: weights,
adapters, tokenizers, settings, in the folder itself and in the folders of its modules. All other files stay.
"""

from fnmatch import fnmatchcase
from pathlib import Path

from tercet.errors import DataError

# These files say what a folder is. They leave first and arrive last, `config.json` as the very last: without it, the
# first module cannot be loaded, so no reader accepts a folder in which files of two models are mixed.
ENTRY_FILES = ("modules.json", "adapter_config.json", "config.json")
# The files that transformers, peft and sentence-transformers look for by their names.
_NAMES = (
    *ENTRY_FILES, "generation_config.json", "config_sentence_transformers.json", "sentence_*_config.json",
    "router_config.json", "tercet.json", "training_args.bin", "quant*_config.json",
    # weights
    "model.safetensors*", "model.*.safetensors*", "model-*.safetensors", "pytorch_model*.bin*", "tf_model*.h5*",
    "flax_model*.msgpack*", "rust_model.ot", "model.ckpt*", "adapter_model*.*", "model*.onnx*", "openvino_model*.*",
    # tokenizers
    "tokenizer*.json", "tokenizer.model*", "tokenizer.*.model", "special_tokens_map.json", "added_tokens.json",
    "vocab.*", "vocab-*.json", "*_vocab.json", "merges.txt", "spiece.model", "sentencepiece*.model", "spm.model",
    "*.tiktoken", "bpe.codes", "unigram.json", "tekken.json", "prophetnet.tokenizer", "chat_template.*",
    "whitespace_config.json", "preprocessor_config.json", "processor_config.json",
)  # fmt: skip
# The folders with files of a model: of module N, of models in other formats, and of chat templates.
_FOLDERS = ("[0-9]_*", "[0-9][0-9]_*", "onnx", "openvino", "additional_chat_templates")


def is_model_file(name: str) -> bool:
    """Return whether the path of a file in a model folder, with `/`, is one that readers of models look for.

    For a folder, with `/` at the end, return whether it may have such files.
    """
    folder, slash, file = name.rpartition("/")
    if slash and not any(fnmatchcase(folder, pattern) for pattern in _FOLDERS):
        return False
    if folder == "additional_chat_templates" and file.endswith(".jinja"):
        return True
    return file == "" or any(fnmatchcase(file, pattern) for pattern in _NAMES)


def check_places(target: Path) -> None:
    """Raise `DataError` if `target` has a folder where a model may have a file, or a file where it has a folder."""
    if not target.is_dir():
        return
    for entry in target.iterdir():
        if entry.is_dir() and not entry.is_symlink() and (is_model_file(entry.name) or entry.name == "README.md"):
            raise DataError(f"{entry} is a folder, but a file of the model has this name; move it away")
        if entry.is_file() and not entry.is_symlink() and is_model_file(f"{entry.name}/"):
            raise DataError(f"{entry} is a file, but a folder of the model may have this name; move it away")
