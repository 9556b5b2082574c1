"""Models and data for the tests of an inspection."""

import numpy as np
import torch

from tercet.data.labels.labelled_sentences import LabelledSentences
from tercet.data.labels.numbering import number_labels


class Blobs:
    """A model that embeds a sentence near the centre of its first word; the whole sentence determines how far off."""

    max_seq_length = 6

    def encode(self, sentences, **_):
        places = {"one": 0, "two": 1, "three": 2, "four": 3}
        rows = []
        for sentence in sentences:
            words = sentence.lower().split()
            seed = sum(ord(letter) * (place + 1) for place, letter in enumerate(" ".join(words)))
            noise = np.random.default_rng(seed).normal(size=4) * 0.05
            rows.append(np.eye(4)[places[words[0]]] + noise)
        return torch.nn.functional.normalize(torch.tensor(np.array(rows), dtype=torch.float32))

    def token_counts(self, sentences):
        return [len(sentence.split()) + 2 for sentence in sentences]


class ConstantModel(Blobs):
    """A model that gives all sentences the same embedding."""

    def encode(self, sentences, **_):
        return torch.full((len(sentences), 4), 0.3)


def labelled(texts, labels):
    return LabelledSentences(list(texts), *number_labels(labels, "the data"))


def shuffled(seed=0):
    """Sentences whose labels were shuffled, so most of them are wrong."""
    texts = [f"{place} {letter}" for place in ("one", "two", "three") for letter in "abcdefghijkl"]
    labels = np.random.default_rng(seed).permutation([text.split()[0] for text in texts])
    return labelled(texts, labels.tolist())
