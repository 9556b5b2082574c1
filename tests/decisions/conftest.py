import pytest

from tests.conftest import build_bert
from tests.decisions.data import blobs, names_of


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    """A tiny encoder with random weights."""
    from tercet import load_model

    return load_model(str(build_bert(tmp_path_factory.mktemp("encoder"), seed=1)), device="cpu")


@pytest.fixture(scope="session")
def fitted():
    """A classifier of embeddings, fitted to 150 rows of three labels."""
    from tercet import LabelClassifier

    x, ids = blobs(150)
    return LabelClassifier(unseen_rows=True).fit(x, names_of(ids))
