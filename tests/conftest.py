"""Tiny real encoders, built with random weights in a moment, and the labelled sentences to train them on."""

import gc
import logging
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizerFast,
    MPNetConfig,
    MPNetModel,
    MPNetTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

torch.set_num_threads(1)

TOPICS = {
    "sport": ["the team won the game", "a great goal in the match", "they lost the final game", "the player scored"],
    "money": ["the stock is up", "the bank cut the rate", "prices fell again", "the market closed lower"],
    "food": ["the soup is hot", "bake the bread", "a fresh salad with oil", "the cake was sweet"],
    "travel": ["the train is late", "we flew to the coast", "a room in the hotel", "the bus left early"],
}
# The tests in these folders run complete commands, so they are slow; `make test-fast` leaves them out.
WHOLE_COMMANDS = {"cli", "comparison", "docs", "runs"}
# Other sentences of the same words, which no training file of the tests contains.
EVALUATION_TOPICS = {
    "sport": ["the team lost the match", "the player won the final", "a great game"],
    "money": ["the market is up", "the bank closed lower", "the stock fell again"],
    "food": ["the bread is hot", "a sweet cake with oil", "the soup was fresh"],
    "travel": ["the bus is late", "we left the hotel early", "the train to the coast"],
}
WORDS = sorted({word for sentences in TOPICS.values() for sentence in sentences for word in sentence.split()})
_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def _save(folder: Path, model, tokenizer) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _numbered(tokens: list[str]) -> dict[str, int]:
    """Number the tokens as lines of a vocab.txt; the oldest transformers that we support warns about such a file."""
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


def build_bert(folder: Path, *, max_length: int = 32, seed: int = 0) -> Path:
    """A BERT of 32 dimensions with a WordPiece tokenizer for the words above."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pieces = [*letters, *(f"##{letter}" for letter in letters)]
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *pieces]
    tokenizer = BertTokenizerFast(vocab=_numbered(vocab), model_max_length=max_length)
    torch.manual_seed(seed)
    model = BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=max_length, **_SIZES))
    return _save(folder, model, tokenizer)


def build_mpnet(folder: Path) -> Path:
    """A tiny MPNet, the architecture of the script in the README."""
    folder.mkdir(parents=True, exist_ok=True)
    vocab = ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", *WORDS, "<mask>"]
    tokenizer = MPNetTokenizerFast(vocab=_numbered(vocab), model_max_length=32)
    torch.manual_seed(0)
    model = MPNetModel(MPNetConfig(vocab_size=len(tokenizer), max_position_embeddings=34, **_SIZES))
    return _save(folder, model, tokenizer)


def build_roberta(folder: Path) -> Path:
    """A tiny RoBERTa, whose positions begin after the padding index, with BERT's tokenizer."""
    build_bert(folder)
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    tokenizer.model_max_length = int(1e30)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=12, pad_token_id=tokenizer.pad_token_id, **_SIZES
    )
    return _save(folder, RobertaModel(config), tokenizer)


def pytest_collection_finish():
    """Exempt the objects of the imported libraries from the garbage collector.

    Every training calls `gc.collect`, which takes half a second if it visits all of them. Hypothesis looks for
    references among the objects of the collector when it is imported, so that happens before.
    """
    import hypothesis  # noqa: F401

    gc.collect()
    gc.freeze()


def pytest_ignore_collect(collection_path, config):
    """Do not import the files of these folders for a run that leaves them out."""
    if "not slow" in config.option.markexpr and _runs_whole_commands(collection_path):
        return True
    return None


def _runs_whole_commands(path: Path) -> bool:
    return path.relative_to(Path(__file__).parent).parts[:1] in {(name,) for name in WHOLE_COMMANDS}


def pytest_collection_modifyitems(items):
    for item in items:
        if _runs_whole_commands(item.path):
            item.add_marker(pytest.mark.slow)
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU"))


@pytest.fixture(autouse=True)
def _same_random_numbers():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _same_log_level():
    """Restore the log level, which a command that runs in the process of the tests sets."""
    logger = logging.getLogger("tercet")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture(scope="session")
def bert(tmp_path_factory) -> Path:
    return build_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def mpnet(tmp_path_factory) -> Path:
    return build_mpnet(tmp_path_factory.mktemp("mpnet"))


@pytest.fixture(scope="session")
def roberta(tmp_path_factory) -> Path:
    return build_roberta(tmp_path_factory.mktemp("roberta"))


@pytest.fixture
def sentences() -> list[str]:
    return [sentence for topic in TOPICS.values() for sentence in topic]


@pytest.fixture
def labels() -> list[str]:
    return [name for name, topic in TOPICS.items() for _ in topic]


@pytest.fixture
def labelled(sentences, labels):
    from datasets import Dataset

    return Dataset.from_dict({"text": sentences, "label": labels})


@pytest.fixture
def eval_file(tmp_path) -> Path:
    """Evaluation data for `csv_file`: the same labels, other sentences."""
    path = tmp_path / "eval.csv"
    rows = [f"{sentence},{label}\n" for label, topic in EVALUATION_TOPICS.items() for sentence in topic]
    path.write_text("text,label\n" + "".join(rows))
    return path


@pytest.fixture
def csv_file(tmp_path, sentences, labels) -> Path:
    path = tmp_path / "data.csv"
    path.write_text("text,label\n" + "".join(f"{s},{n}\n" for s, n in zip(sentences, labels, strict=True)))
    return path
