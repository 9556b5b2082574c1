"""Models of the real shapes with random weights, and texts with the lengths of real data, for `gpu.py`.

Nothing is read but `lengths.json`: how many training texts of BANKING77 and CLINC150 have each number of tokens, by the
tokenizer of all-MiniLM-L6-v2, special tokens included.
"""

import json
import random
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizerFast, MPNetConfig, MPNetModel, MPNetTokenizerFast

LENGTHS = json.loads((Path(__file__).parent / "lengths.json").read_text("utf-8"))
# all-MiniLM-L6-v2 and all-mpnet-base-v2: layers, hidden size, heads, size of the feed-forward layer, vocabulary.
SHAPES = {"minilm": (6, 384, 12, 1536, 30522), "mpnet": (12, 768, 12, 3072, 30527), "tiny": (2, 32, 4, 64, 500)}
_MAX_LENGTH = 128
_SPECIAL_TOKENS = 2


def build(name: str, folder: Path) -> str:
    """Save a model that both libraries load, and return its folder. Each of its words is one token."""
    from tercet import SentenceTransformer
    from tercet.encoder.modules import Normalize, Pooling
    from tercet.encoder.modules.transformer import Transformer

    layers, hidden, heads, feed_forward, vocabulary = SHAPES[name]
    sizes = {
        "num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads,
        "intermediate_size": feed_forward, "vocab_size": vocabulary,
    }  # fmt: skip
    special = ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"] if name == "mpnet" else [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
    ]  # fmt: skip
    words = [f"w{number}" for number in range(vocabulary - len(special))]
    folder = folder / name
    folder.mkdir(parents=True)
    vocab = {token: number for number, token in enumerate([*special, *words])}
    torch.manual_seed(0)
    if name == "mpnet":
        tokenizer = MPNetTokenizerFast(vocab=vocab, model_max_length=_MAX_LENGTH)
        encoder = MPNetModel(MPNetConfig(max_position_embeddings=514, **sizes))
    else:
        tokenizer = BertTokenizerFast(vocab=vocab, model_max_length=_MAX_LENGTH)
        encoder = BertModel(BertConfig(max_position_embeddings=512, **sizes))
    encoder.eval()
    modules = [Transformer(encoder, tokenizer, max_seq_length=_MAX_LENGTH), Pooling(hidden), Normalize()]
    model = SentenceTransformer(modules=modules, device="cpu")
    model.save_pretrained(folder / "model")
    return str(folder / "model")


def texts_of(name: str, number: int, vocabulary: int, seed: int = 0) -> tuple[list[str], list[int]]:
    """Return texts with the lengths of a data set, and labels; the text of a label shares some of its words."""
    chosen = random.Random(seed)
    counts = LENGTHS[name]["number_by_length"]
    lengths = chosen.choices([int(length) for length in counts], list(counts.values()), k=number)
    labels = [row % LENGTHS[name]["labels"] for row in range(number)]
    words = vocabulary - 10
    texts = []
    for length, label in zip(lengths, labels, strict=True):
        of_label = random.Random(label).choices(range(words), k=8)
        texts.append(
            " ".join(
                f"w{chosen.choice(of_label) if chosen.random() < 0.5 else chosen.randrange(words)}"
                for _ in range(max(1, length - _SPECIAL_TOKENS))
            )
        )
    return texts, labels


def batches_of(labels: list[int], size: int, steps: int, per_label: int = 4) -> list[list[int]]:
    """Return the rows of random batches with `per_label` rows of each label."""
    chosen = random.Random(1)
    rows_of: dict[int, list[int]] = {}
    for row, label in enumerate(labels):
        rows_of.setdefault(label, []).append(row)
    batches = []
    for _ in range(steps):
        names = chosen.sample(sorted(rows_of), size // per_label)
        batches.append([row for name in names for row in chosen.sample(rows_of[name], per_label)])
    return batches
