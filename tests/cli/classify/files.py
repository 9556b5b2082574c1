"""Sentences of four labels, and small CSV files, for the tests of `tercet classify`."""

import csv
import io
import random

from tests.conftest import TOPICS

_WORDS = {name: sorted({word for text in topic for word in text.split()}) for name, topic in TOPICS.items()}


def draw_sentences(per_label, seed):
    """Return sentences and labels; a sentence has six words of its label."""
    draw = random.Random(seed)
    pairs = [(" ".join(draw.choices(words, k=6)), label) for label, words in _WORDS.items() for _ in range(per_label)]
    return [list(column) for column in zip(*pairs, strict=True)]


def write(path, columns):
    """Write the columns to a CSV file, and return its path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *zip(*columns.values(), strict=True)])
    return path


def rows_of(text, delimiter=","):
    """Return the rows of a CSV text as dictionaries."""
    return list(csv.DictReader(io.StringIO(text), delimiter=delimiter))
