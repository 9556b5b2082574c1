"""The sentences of the tests, and what is read of a file that has them."""

from tercet.data.loading.labelled import load_labelled
from tercet.data.reading.options import ReadOptions
from tests.conftest import TOPICS

PAIRS = [(text, label) for label, texts in TOPICS.items() for text in texts]


LABELS = {label: [text for text, name in PAIRS if name == label] for label in TOPICS}


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read_pairs(path, options=None):
    data = load_labelled(path, options or ReadOptions())
    return list(zip(data.sentences, data.labels(), strict=True))
