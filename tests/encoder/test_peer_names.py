"""Methods, arguments and attributes that code for sentence-transformers uses on a model."""

import json
import pickle
import warnings

import numpy as np
import pytest
import torch

from tercet import SentenceTransformer, SentenceTransformerModelCardData, SimilarityFunction
from tercet.encoder import Normalize, Pooling, Transformer
from tercet.errors import ModelError
from tercet.evaluation import LabelEvaluator


@pytest.fixture
def model(bert):
    return SentenceTransformer(str(bert), device="cpu")


def test_modules_have_their_names_and_places(model, bert):
    assert model._first_module() is model[0] is model.transformer
    assert model._last_module() is model[-1] is model[1]
    assert model.transformers_model is model[0].auto_model
    assert model.config is model[0].auto_model.config
    assert model.dtype is torch.float32
    assert model.get_max_seq_length() == model.max_seq_length == 32
    assert model._target_device == model.device == torch.device("cpu")
    assert SentenceTransformer(modules=[Normalize()], device="cpu").config is None


def test_inserted_modules_are_run_and_saved(model, sentences, tmp_path):
    model.insert(1, Normalize())
    assert [type(module).__name__ for module in model] == ["Transformer", "Normalize", "Pooling"]
    del model[1]
    model.add_module("norm", Normalize())
    model.save(tmp_path / "model")
    assert [entry["name"] for entry in json.loads((tmp_path / "model/modules.json").read_text())] == ["0", "1", "norm"]
    loaded = SentenceTransformer(tmp_path / "model", device="cpu")
    assert list(loaded._modules) == ["0", "1", "norm"]
    np.testing.assert_allclose(np.linalg.norm(loaded.encode(sentences), axis=1), 1, atol=1e-6)


def test_parameters_are_frozen_by_the_prefixes_of_sentence_transformers(model):
    names = [name for name, _ in model.named_parameters()]
    assert all(name.startswith("0.auto_model.") for name in names)


@pytest.mark.parametrize("prefix", ["0.auto_model.", "0.model."])
def test_a_state_of_sentence_transformers_is_loaded(model, bert, sentences, prefix):
    state = {
        name.replace("0.auto_model.", prefix): torch.full_like(value, 0.1) for name, value in model.state_dict().items()
    }
    assert str(model.load_state_dict(state)) == "<All keys matched successfully>"
    assert model.transformer.auto_model.embeddings.word_embeddings.weight.eq(0.1).all()


def test_an_evaluator_is_called_with_the_folder(model, sentences, labels, tmp_path):
    seen = []
    assert model.evaluate(lambda *arguments: seen.append(arguments), tmp_path / "new/results") is None
    assert seen == [(model, str(tmp_path / "new/results"))]
    assert (tmp_path / "new/results").is_dir()
    evaluator = LabelEvaluator(sentences, labels)
    assert model.evaluate(evaluator) == evaluator(model)


def test_preprocess_adds_a_prompt(model):
    features = model.preprocess(["game", "goal"], prompt="the team ")
    assert features["input_ids"].shape == (2, 5)
    assert features["prompt_length"] == 3
    assert "prompt_length" not in model.preprocess(["game"])


def test_the_prompt_is_left_out_of_the_pooling(model):
    model.set_pooling_include_prompt(False)
    assert not model[1].include_prompt
    with pytest.raises(ModelError, match="no Pooling module"):
        SentenceTransformer(modules=[Normalize()], device="cpu").set_pooling_include_prompt(False)


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")  # peft warns of the second adapter.
def test_adapters_are_those_of_the_encoder(model):
    peft = pytest.importorskip("peft")
    model.add_adapter(peft.LoraConfig(r=2, target_modules=["query"]), "first")
    model.add_adapter(peft.LoraConfig(r=2, target_modules=["query"]), "second")
    assert model.active_adapters() == ["second"]
    model.set_adapter("first")
    assert model.active_adapters() == ["first"]
    assert model.get_adapter_state_dict("first")
    model.disable_adapters()


def test_constructor_arguments_have_an_effect_or_are_refused(bert, model):
    with pytest.raises(ModelError, match=r"backend='onnx' is not supported.*sentence_transformers.SentenceTransformer"):
        SentenceTransformer(str(bert), backend="onnx")
    assert SentenceTransformer(str(bert), backend="torch", local_files_only=True, device="cpu", use_auth_token=None)
    with pytest.raises(ModelError, match="use_auth_token is another name of token; pass only token"):
        SentenceTransformer(str(bert), use_auth_token="hf_a", token="hf_b")
    lower = SentenceTransformer(str(bert), processor_kwargs={"do_lower_case": False}, device="cpu")
    assert lower.tokenizer.do_lower_case is False
    with pytest.raises(ModelError, match="pass model_name_or_path or modules, not both"):
        SentenceTransformer(str(bert), modules=list(model))
    for nothing in ([], {}):
        with pytest.raises(ModelError, match="modules must be a non-empty list"):
            SentenceTransformer(modules=nothing)
    with pytest.raises(ModelError, match="'me/unknown'.*not in the cache"):
        SentenceTransformer("me/unknown", local_files_only=True)


def test_similarities_are_checked_and_may_be_an_enum(model):
    model.similarity_fn_name = SimilarityFunction.DOT_PRODUCT
    assert model.similarity_fn_name == "dot"
    assert model.similarity([[2.0]], [[3.0]]).item() == 6
    with pytest.raises(ModelError, match="unknown similarity 'dot_product'"):
        model.similarity_fn_name = "dot_product"
    similarity = SimilarityFunction.to_similarity_pairwise_fn("euclidean")
    assert similarity([[0.0]], [[3.0]]).item() == -3
    assert SimilarityFunction.possible_values() == ["cosine", "dot", "euclidean", "manhattan"]


def test_saving_has_the_arguments_of_sentence_transformers(model, tmp_path):
    model.save(str(tmp_path / "bare"), create_model_card=False)
    assert not (tmp_path / "bare/README.md").exists()
    model.save_pretrained(str(tmp_path / "model"), "me/tiny", train_datasets=["intents"], safe_serialization=True)
    card = (tmp_path / "model/README.md").read_text()
    assert 'SentenceTransformer("me/tiny")' in card
    assert "- Training data: `intents`" in card
    with pytest.raises(ModelError, match="safe_serialization=False would write pickle files"):
        model.save(tmp_path / "pickled", safe_serialization=False)
    assert not (tmp_path / "pickled").exists()


def test_the_card_has_what_the_user_and_evaluators_state(bert, tmp_path):
    data = SentenceTransformerModelCardData(
        language=["en", "no"], license="apache-2.0", model_name="Intents", tags=["intents"],
        train_datasets=[{"name": "SNLI", "id": "stanfordnlp/snli"}],
    )  # fmt: skip
    model = SentenceTransformer(str(bert), device="cpu", model_card_data=data)
    evaluator = type("ShortEvaluator", (), {"name": "dev"})()
    model.model_card_data.set_evaluation_metrics(evaluator, {"dev_accuracy": 0.25})
    model.model_card_data.set_evaluation_metrics(evaluator, {"dev_accuracy": 0.5, "note": "a|b"}, 1, 2)
    model.save_pretrained(tmp_path / "model")
    head, _, body = (tmp_path / "model/README.md").read_text().removeprefix("---\n").partition("\n---\n")
    yaml = pytest.importorskip("yaml")
    entries = yaml.safe_load(head)
    assert entries["language"] == ["en", "no"]
    assert entries["license"] == "apache-2.0"
    assert entries["datasets"] == ["stanfordnlp/snli"]
    assert {"sentence-transformers", "tercet", "intents"} <= set(entries["tags"])
    assert body.startswith("\n# Intents\n")
    assert "## Evaluation with `ShortEvaluator dev`" in body
    assert "| `dev_accuracy` | 0.5000 |" in body
    assert "0.25" not in body
    assert pickle.loads(pickle.dumps(model)).model_card_data == model.model_card_data


def test_card_data_of_sentence_transformers_are_taken(bert):
    peer = pytest.importorskip("sentence_transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = peer.SentenceTransformerModelCardData(language="en", license="mit", model_name="Their name")
    model = SentenceTransformer(modules=[Transformer.load(str(bert)), Pooling(32)], model_card_data=data, device="cpu")
    assert (model.model_card_data.language, model.model_card_data.license) == (["en"], "mit")
    assert model.model_card_data.model_name == "Their name"


def test_a_model_is_printed_in_five_lines(model):
    model.append(Normalize())
    model.truncate_dim = 8
    assert repr(model).splitlines() == [
        "SentenceTransformer: (0) Transformer of BertModel, (1) Pooling, (2) Normalize",
        "  pooling    mean",
        "  dimension  8 of 32",
        "  limit      32 tokens",
        "  packing    on",
    ]
    model.packing = False
    assert str(model).endswith("packing    off")
    bare = SentenceTransformer(modules=[Normalize()], device="cpu")
    assert [line.split()[-1] for line in str(bare).splitlines()] == ["Normalize", "none", "unknown", "none", "none"]


def test_a_subclass_that_overrides_encode_gets_the_keywords_of_sentence_transformers(bert):
    class Spy(SentenceTransformer):
        def encode(self, inputs, prompt_name=None, prompt=None, **options):
            return inputs, prompt_name, prompt, options

    model = Spy(bert, device="cpu")
    model.prompts = {"passage": "p: "}
    found = model.encode_document(["a"], None, None, 8, convert_to_tensor=True)
    assert found == (["a"], "passage", None, {"batch_size": 8, "convert_to_tensor": True, "task": "document"})
    assert model.encode_query("a", prompt="q: ") == ("a", None, "q: ", {"task": "query"})
