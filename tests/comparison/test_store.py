"""The fingerprint of a data set, which decides whether a comparison can be resumed."""

from datasets import ClassLabel, Dataset

from tercet.comparison.store import fingerprint


def test_fingerprint_hashes_the_names_of_labels():
    rows = {"sentence": ["the team won", "a warm soup", "a late goal"], "label": ["sport", "food", "sport"]}
    strings = Dataset.from_dict(rows)
    found = fingerprint(strings)
    assert found == {
        "sentences": 3,
        "labels": 2,
        "sha256": "88fdf684ae4a0fa705bb026f2f8994ee645a8b053aecd84f13483182dc99b989",
    }
    assert fingerprint(strings.cast_column("label", ClassLabel(names=["food", "sport"]))) == found
    assert fingerprint(strings.cast_column("label", ClassLabel(names=["sport", "food"]))) == found
    assert fingerprint(Dataset.from_dict(rows | {"label": [1, 0, 1]})) != found
