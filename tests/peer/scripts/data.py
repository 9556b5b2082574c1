"""What the scripts share: the folder of a tiny encoder without dropout, and labelled sentences.

The runner puts this module into `sys.modules` as `data`, with the folder of the encoder.
"""

from datasets import Dataset

ENCODER = ""

TEXTS = [
    "the team won the game", "a great goal in the match", "they lost the final game", "the player scored",
    "the stock is up", "the bank cut the rate", "prices fell again", "the market closed lower",
    "the soup is hot", "bake the bread", "a fresh salad with oil", "the cake was sweet",
    "the train is late", "we flew to the coast", "a room in the hotel", "the bus left early",
]  # fmt: skip
LABELS = [row // 4 for row in range(16)]
ANCHORS, POSITIVES, NEGATIVES = TEXTS, TEXTS[1:] + TEXTS[:1], TEXTS[8:] + TEXTS[:8]


def labelled() -> Dataset:
    """Sixteen sentences with four labels."""
    return Dataset.from_dict({"text": TEXTS, "label": LABELS})


def triplets() -> Dataset:
    """Sixteen triplets."""
    return Dataset.from_dict({"anchor": ANCHORS, "positive": POSITIVES, "negative": NEGATIVES})
