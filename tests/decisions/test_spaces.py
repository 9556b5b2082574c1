import numpy as np
import pytest
import torch

from tercet import LabelClassifier, load_model
from tercet.decisions.spaces import as_half, embed_texts, from_half, spaces
from tercet.errors import DataError
from tercet.heads import LinearHead, append_head
from tests.conftest import EVALUATION_TOPICS, build_bert

EVALUATION = [text for texts in EVALUATION_TOPICS.values() for text in texts]


@pytest.fixture
def plain(tmp_path):
    return load_model(str(build_bert(tmp_path / "plain", seed=1)), device="cpu")


@pytest.fixture
def headed(plain):
    """An encoder that ends in a linear head, 32 → 8."""
    append_head(plain, LinearHead(torch.randn(8, 32, generator=torch.Generator().manual_seed(0))))
    return plain


def _unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("dim", [1, 2, 3, 8, 384])
def test_spaces_have_length_1_and_survive_float16(dim):
    x = torch.randn(2000, dim, generator=torch.Generator().manual_seed(0)) * 7
    found = spaces(x).embeddings
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2000), atol=1e-6, rtol=0)
    torch.testing.assert_close(found, x / x.norm(dim=1, keepdim=True), atol=1e-3, rtol=0)
    assert as_half(found).dtype == torch.float16
    assert torch.equal(from_half(as_half(found)), found)


def test_embeddings_are_those_of_encode(plain, sentences):
    found = embed_texts(plain, sentences)
    assert found.before_head is None
    np.testing.assert_allclose(found.embeddings, _unit(plain.encode(sentences)), atol=1e-3)


def test_a_head_gives_two_embeddings_from_one_pass(headed, sentences):
    calls = []
    headed[0].register_forward_hook(lambda *args: calls.append(1))
    found = embed_texts(headed, sentences, batch_size=100)
    assert len(calls) == 1
    np.testing.assert_allclose(found.embeddings, _unit(headed.encode(sentences)), atol=1e-3)
    assert found.before_head.shape == (16, 32)
    del headed[-1], headed[-1]
    np.testing.assert_allclose(found.before_head, _unit(headed.encode(sentences)), atol=1e-3)


def test_a_truncated_model_uses_its_embeddings_alone(headed, sentences, labels):
    headed.truncate_dim = 4
    found = embed_texts(headed, sentences)
    assert found.before_head is None
    np.testing.assert_allclose(found.embeddings, _unit(headed.encode(sentences)), atol=1e-3)
    assert LabelClassifier(headed, unseen_rows=True).fit(sentences, labels).n_features_in_ == 4


def test_prompts_are_used(headed, plain, sentences):
    without = embed_texts(headed, sentences)
    headed.prompts, headed.default_prompt_name = {"query": "the bank: "}, "query"
    found = embed_texts(headed, sentences)
    np.testing.assert_allclose(found.embeddings, _unit(headed.encode(sentences)), atol=1e-3)
    assert not torch.allclose(found.before_head, without.before_head, atol=1e-2)


def test_no_text_has_no_embedding(headed):
    found = embed_texts(headed, [])
    assert found.embeddings.shape == (0, 8)
    assert found.before_head.shape == (0, 32)


@pytest.mark.slow
def test_a_classifier_works_before_the_head(headed, sentences, labels, tmp_path):
    method = "logistic_regression_before_head"
    classifier = LabelClassifier(headed, method=method, unseen_rows=True).fit(sentences, labels)
    assert classifier.members_ == [method]
    assert classifier._fitted.models[method].weights.shape == (4, 32)
    classifier.partial_fit(EVALUATION[:3], ["other"] * 3)
    assert classifier.predict([]).shape == (0,)
    classifier.save(tmp_path / "saved")
    loaded = LabelClassifier.load(tmp_path / "saved", device="cpu")
    np.testing.assert_allclose(loaded.predict_proba(EVALUATION), classifier.predict_proba(EVALUATION), atol=1e-6)
    assert set(LabelClassifier(headed, unseen_rows=True).fit(sentences, labels).scores_) > {method, "chosen"}


@pytest.mark.slow
def test_embeddings_and_sentences_beside_a_head(headed, sentences, labels):
    by_text = LabelClassifier(headed, unseen_rows=True).fit(sentences, labels)
    rows = headed.encode(sentences)
    for call in (
        lambda: by_text.predict(rows),
        lambda: by_text.fit(sentences, labels, calibration_data=(rows[:2] + 0.1, ["sport", "sport"])),
        lambda: by_text.fit(sentences, labels, unknown_sentences=rows),
    ):
        with pytest.raises(DataError, match="has embeddings, but the classifier was fitted to sentences and also uses"):
            call()
    by_row = LabelClassifier(headed, unseen_rows=True).fit(rows, labels, unknown_sentences=EVALUATION)
    assert by_row.predict(sentences).tolist() == by_row.predict(rows).tolist()


@pytest.mark.slow
def test_the_batch_size_does_not_matter(headed, sentences, labels):
    one = LabelClassifier(headed, unseen_rows=True, batch_size=1).fit(sentences, labels)
    other = LabelClassifier(headed, unseen_rows=True, batch_size=64).fit(sentences, labels)
    np.testing.assert_allclose(one.predict_proba(EVALUATION), other.predict_proba(EVALUATION), atol=0.02)
