import pytest

from tests.cli.classify.files import draw_sentences


@pytest.fixture(scope="package")
def model(bert, tmp_path_factory):
    """The folder of a tiny encoder with a classifier of four labels."""
    from tercet.decisions import LabelClassifier

    folder = tmp_path_factory.mktemp("classified") / "model"
    classifier = LabelClassifier(str(bert), unseen_rows=True, keep_texts=True, device="cpu")
    classifier.fit(*draw_sentences(60, seed=0)).save(folder)
    return folder


@pytest.fixture(scope="package")
def new():
    """Sentences that the classifier was not fitted to, and their labels."""
    return draw_sentences(5, seed=1)
