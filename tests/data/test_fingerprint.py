"""The facts about a data set that records store. They decide whether a comparison can be resumed."""

from datasets import ClassLabel, Dataset

from tercet.data.fingerprint import fingerprint


def test_fingerprint_hashes_the_names_of_labels():
    rows = {"sentence": ["the team won", "a warm soup", "a late goal"], "label": ["sport", "food", "sport"]}
    strings = Dataset.from_dict(rows)
    found = fingerprint(strings)
    assert found == {
        "rows": 3,
        "labels": 2,
        "copies": 0,
        "sha256": "88fdf684ae4a0fa705bb026f2f8994ee645a8b053aecd84f13483182dc99b989",
    }
    assert fingerprint(strings.cast_column("label", ClassLabel(names=["food", "sport"]))) == found
    assert fingerprint(strings.cast_column("label", ClassLabel(names=["sport", "food"]))) == found
    assert fingerprint(Dataset.from_dict(rows | {"label": [1, 0, 1]})) != found


def test_copies_are_counted_and_triplets_have_no_labels():
    rows = {"anchor": ["a", "A ", "b"], "positive": ["c", "d", "e"], "negative": ["f", "g", "h"]}
    found = fingerprint(Dataset.from_dict(rows))
    assert (found["rows"], found["copies"], "labels" in found) == (3, 1, False)
    assert fingerprint(Dataset.from_dict(rows | {"negative": ["f", "g", "i"]}))["sha256"] != found["sha256"]
