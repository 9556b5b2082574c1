"""Tiny encoders with random weights, and their hidden states on a packed row and on a padded batch."""

import numpy as np
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

from tercet.encoder.modules.transformer import Transformer
from tercet.encoder.packing.layers import find_layers
from tercet.encoder.packing.packing import pack

PACKED = [
    "albert", "bert", "camembert", "data2vec-text", "distilbert", "electra", "ernie", "eurobert", "modernbert", "mpnet",
    "nomic_bert", "roberta", "xlm-roberta", "xlm-roberta-xl",
]  # fmt: skip
PADDED = ["deberta-v2", "xlnet", "gpt2"]
LENGTHS = [7, 3, 33, 1, 3, 60, 12, 32, 3]


def _config(kind: str, dropout: float, **changes):
    sizes = {
        "vocab_size": 120, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
        "max_position_embeddings": 140, "pad_token_id": 1 if kind == "mpnet" else 0, "bos_token_id": 2,
        "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3, "embedding_size": 16, "type_vocab_size": 2,
    }  # fmt: skip
    rates = ("hidden_dropout_prob", "attention_probs_dropout_prob", "attention_dropout", "mlp_dropout", "dropout",
             "embedding_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop", "summary_last_dropout")  # fmt: skip
    if kind == "distilbert":
        sizes |= {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
    if kind == "modernbert":
        sizes |= {"local_attention": 8, "global_attn_every_n_layers": 2}
    if kind == "xlnet":
        sizes = {"vocab_size": 120, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48, "pad_token_id": 0}
    if kind == "gpt2":
        sizes |= {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 140}
    return AutoConfig.for_model(kind, **sizes, **dict.fromkeys(rates, dropout), **changes)


def tiny(kind: str, folder, dropout: float = 0.0, dtype=torch.float64, **changes) -> Transformer:
    """A random encoder with weights large enough for attention to matter."""
    torch.manual_seed(0)
    model = AutoModel.from_config(_config(kind, dropout, **changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    return Transformer(model.to(dtype), AutoTokenizer.from_pretrained(folder), max_seq_length=64)


def token_ids(lengths=LENGTHS, seed=0) -> list[list[int]]:
    random = np.random.default_rng(seed)
    return [random.integers(5, 100, length).tolist() for length in lengths]


def run_padded(transformer: Transformer, ids: list[list[int]]) -> list[torch.Tensor]:
    """Hidden states of each sentence, from the model's own padded batch."""
    longest = max(map(len, ids))
    padding = transformer.auto_model.config.pad_token_id
    rows = torch.tensor([sentence + [padding] * (longest - len(sentence)) for sentence in ids])
    mask = torch.tensor([[1] * len(sentence) + [0] * (longest - len(sentence)) for sentence in ids])
    types = {"token_type_ids": torch.zeros_like(rows)} if "token_type_ids" in transformer._inputs else {}
    hidden = transformer.auto_model(input_ids=rows, attention_mask=mask, **types)[0]
    return [hidden[row, : len(sentence)] for row, sentence in enumerate(ids)]


def run_packed(transformer: Transformer, ids: list[list[int]]) -> list[torch.Tensor]:
    """Hidden states of each sentence, from a packed row."""
    features = pack(ids)
    packing = features["packing"]
    states = transformer(features)["token_embeddings"].split(packing.lengths.tolist())
    return [states[index] for index in packing.inverse_order]


def runs_packed(transformer: Transformer) -> bool:
    return transformer._runs_packed(torch.device("cpu"), find_layers(transformer.auto_model))


def gradients_of(transformer: Transformer, hidden: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    transformer.zero_grad()
    weight = torch.randn(hidden[0].shape[1], generator=torch.Generator().manual_seed(1), dtype=hidden[0].dtype)
    sum((sentence.tanh() @ weight).mean() for sentence in hidden).backward()
    parameters = transformer.named_parameters()
    return {name: parameter.grad.clone() for name, parameter in parameters if parameter.grad is not None}
