"""The model card shows names from the data and from folders as they are, and as text alone."""

from tercet.encoder.card import model_card
from tercet.encoder.storage import ModelSettings

_EVIL = "a\x1b[31m`](http://x)\n# Heading\u202e\x9b<script>| |"


def test_names_do_not_become_markdown_or_control_codes():
    settings = ModelSettings(label_names=[_EVIL, "plain"], similarity_fn_name="cosine")
    card = model_card(settings, base_model=f"folder/{_EVIL}", dimension=3, max_seq_length=None)
    assert not set(card) & set("\x1b\u202e\x9b")
    assert "\n# Heading" not in card
    (labels,) = [line for line in card.splitlines() if "plain" in line]
    assert labels == "`a�[31m'](http://x) # Heading��<script>| |`, `plain`"
    assert [line for line in card.splitlines() if line.startswith("- Base model: `folder/a�[31m'](http://x) # Head")]
