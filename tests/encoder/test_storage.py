"""Model directories: every layout is read, the oldest one is written atomically, and errors name the file."""

import json
import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer as Peer
from transformers import AutoTokenizer

from tercet import SentenceTransformer
from tercet.errors import DataError, ModelError
from tests.encoder.helpers import LAYOUTS, write_layout

TEXTS = [
    "the team won the game",
    "a fresh salad with oil",
    "",
    "the bank cut the rate and the market closed lower",
    "x",
]
POOLINGS = ["mean", "cls", "max", "mean_sqrt_len_tokens", "lasttoken"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_layout_returns_the_embeddings_of_sentence_transformers(layout, pooling, bert, tmp_path):
    folder = write_layout(bert, tmp_path / "model", layout, pooling)
    ours, theirs = SentenceTransformer(folder, device="cpu"), Peer(str(folder), device="cpu")
    assert ours.max_seq_length == theirs.max_seq_length == 7
    np.testing.assert_allclose(ours.encode(TEXTS), theirs.encode(TEXTS), atol=1e-6)
    np.testing.assert_allclose(ours.encode(TEXTS, "query"), theirs.encode(TEXTS, "query"), atol=1e-6)
    assert ours.similarity_fn_name == "dot"
    assert ours.get_sentence_embedding_dimension() == 8


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_saved_model_has_the_oldest_layout_and_loads_everywhere(layout, bert, tmp_path):
    ours = SentenceTransformer(write_layout(bert, tmp_path / "model", layout, "lasttoken"), device="cpu")
    ours.save_pretrained(tmp_path / "saved")
    entries = json.loads((tmp_path / "saved/modules.json").read_text())
    kinds = ["Transformer", "Pooling", "Dense", "Normalize"]
    assert [entry["type"] for entry in entries] == [f"sentence_transformers.models.{kind}" for kind in kinds]
    assert json.loads((tmp_path / "saved/1_Pooling/config.json").read_text())["pooling_mode_lasttoken"] is True
    assert json.loads((tmp_path / "saved/sentence_bert_config.json").read_text())["max_seq_length"] == 7
    again, theirs = SentenceTransformer(tmp_path / "saved", device="cpu"), Peer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_array_equal(again.encode(TEXTS), ours.encode(TEXTS))
    np.testing.assert_allclose(theirs.encode(TEXTS), ours.encode(TEXTS), atol=1e-6)
    assert theirs.prompts["query"] == again.prompts["query"] == "the team: "
    assert theirs.max_seq_length == 7
    assert theirs.similarity_fn_name == again.similarity_fn_name == "dot"


@pytest.mark.slow
def test_a_model_saved_by_sentence_transformers_loads(bert, tmp_path):
    theirs = Peer(str(write_layout(bert, tmp_path / "model", "3.x to 5.3")), device="cpu")
    theirs.save_pretrained(str(tmp_path / "theirs"))
    ours = SentenceTransformer(tmp_path / "theirs", device="cpu")
    np.testing.assert_allclose(ours.encode(TEXTS), theirs.encode(TEXTS), atol=1e-6)
    assert ours.max_seq_length == 7


@pytest.mark.parametrize("length", [6, 11, None])
def test_plain_transformers_truncates_a_saved_model_as_the_model_does(length, bert, tmp_path):
    """Its lines in the guide have no other limit than that of the saved tokenizer."""
    model = SentenceTransformer(bert, device="cpu")
    tokenizer = model.tokenizer
    limit = tokenizer.model_max_length
    if length is not None:
        model.max_seq_length = length
    model.save(tmp_path / "model")
    assert tokenizer.model_max_length == limit
    saved = AutoTokenizer.from_pretrained(tmp_path / "model")
    ids = saved(["game " * 3000], truncation=True)["input_ids"][0]
    assert len(ids) == model.max_seq_length
    assert SentenceTransformer(tmp_path / "model", device="cpu").max_seq_length == model.max_seq_length


@pytest.mark.parametrize("encoder", ["bert", "mpnet", "roberta"])
def test_a_plain_encoder_gets_mean_pooling(encoder, request):
    folder = request.getfixturevalue(encoder)
    ours, theirs = SentenceTransformer(folder, device="cpu"), Peer(str(folder), device="cpu")
    short = [text for text in TEXTS if len(text) < 30]
    np.testing.assert_allclose(ours.encode(short), theirs.encode(short), atol=1e-6)


def test_positions_from_the_padding_index_limit_the_length(roberta):
    """sentence-transformers sends 12 tokens through a table that ends at 11."""
    model = SentenceTransformer(roberta, device="cpu")
    assert model.max_seq_length == 11
    assert np.isfinite(model.encode("the game " * 40)).all()


def test_several_poolings_are_concatenated_in_order(bert, tmp_path):
    folder = write_layout(bert, tmp_path / "model", "6.x", ["max", "cls"])  # type: ignore[arg-type]
    dense = folder / "2_Dense"
    entries = [entry for entry in json.loads((folder / "modules.json").read_text()) if entry["path"] != dense.name]
    (folder / "modules.json").write_text(json.dumps(entries))
    ours, theirs = SentenceTransformer(folder, device="cpu"), Peer(str(folder), device="cpu")
    np.testing.assert_allclose(ours.encode(TEXTS), theirs.encode(TEXTS), atol=1e-6)
    ours.save_pretrained(tmp_path / "saved")
    np.testing.assert_array_equal(
        SentenceTransformer(tmp_path / "saved", device="cpu").encode(TEXTS), ours.encode(TEXTS)
    )
    np.testing.assert_allclose(Peer(str(tmp_path / "saved"), device="cpu").encode(TEXTS), ours.encode(TEXTS), atol=1e-6)


def test_prompts_excluded_from_pooling(bert, tmp_path):
    folder = write_layout(bert, tmp_path / "model", "3.x to 5.3")
    pooling = json.loads((folder / "1_Pooling/config.json").read_text())
    (folder / "1_Pooling/config.json").write_text(json.dumps({**pooling, "include_prompt": False}))
    ours, theirs = SentenceTransformer(folder, device="cpu"), Peer(str(folder), device="cpu")
    np.testing.assert_allclose(ours.encode(TEXTS, "query"), theirs.encode(TEXTS, prompt_name="query"), atol=1e-6)
    assert not np.allclose(ours.encode(TEXTS, "query"), ours.encode(TEXTS))


def _edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _replace_type(folder, kind):
    entries = json.loads((folder / "modules.json").read_text())
    entries[2]["type"] = kind
    (folder / "modules.json").write_text(json.dumps(entries))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: _replace_type(f, "sentence_transformers.models.LSTM"), "type sentence_transformers.models.LSTM"),
        (lambda f: _replace_type(f, "evil.code.Dense"), "module of type evil.code.Dense; supported are 'Transformer'"),
        (lambda f: (f / "modules.json").write_text("[{"), "modules.json is not valid JSON"),
        (lambda f: (f / "modules.json").write_text("[]"), "modules.json must contain a non-empty list of"),
        (lambda f: (f / "1_Pooling/config.json").unlink(), "1_Pooling/config.json is missing, so"),
        (lambda f: (f / "1_Pooling/config.json").write_text("{"), "config.json is not valid JSON"),
        (lambda f: _edit(f / "1_Pooling/config.json", pooling_mode="weighted"), "mode 'weighted'; choose"),
        (lambda f: _edit(f / "2_Dense/config.json", activation_function="os.system"), "only activations in torch"),
        (lambda f: _edit(f / "2_Dense/config.json", activation_function="torch.save"), "not a subclass of torch.nn"),
        (lambda f: _edit(f / "2_Dense/config.json", activation_function="torch.no.Such"), "torch cannot create: M"),
        (lambda f: (f / "2_Dense/config.json").write_text("{}"), "config.json describes: KeyError: 'out_features'"),
        (lambda f: (f / "2_Dense/model.safetensors").unlink(), "only safetensors weights are read"),
        (lambda f: (f / "2_Dense/model.safetensors").write_bytes(b"short"), "is not a valid safetensors file: th"),
        (lambda f: _edit(f / "2_Dense/config.json", out_features=9), "in the same folder: linear.weight has the size"),
        (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "only safetensors weights are read"),
        (lambda f: (f / "model.safetensors").write_bytes(b"short"), "is not a valid safetensors file"),
    ],
)  # fmt: skip
def test_a_damaged_directory_is_refused_with_the_reason(damage, message, bert, tmp_path):
    folder = write_layout(bert, tmp_path / "model", "3.x to 5.3")
    damage(folder)
    with pytest.raises(ModelError, match=message.replace(".", r"\.").replace("(", r"\(")):
        SentenceTransformer(folder)


def test_a_name_without_a_model_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ModelError, match="no model directory at"):
        SentenceTransformer("./nothing/here")
    with pytest.raises(ModelError, match=r"to load the bundled encoder, call tercet\.load_model\('bundled'\)"):
        SentenceTransformer("bundled")
    with pytest.raises(ModelError, match="is not a model directory: it has neither modules.json nor config.json"):
        SentenceTransformer(tmp_path)
    with pytest.raises(
        ModelError, match="cannot load 'nobody/nothing': it is not a local folder; the hub cannot be reached"
    ):
        SentenceTransformer("nobody/nothing")
    with pytest.raises(ModelError, match="no model: pass modules, or pass model_name_or_path"):
        SentenceTransformer()


def test_a_model_of_the_hub_comes_from_its_cache(bert, tmp_path):
    """The real client, offline, with a cache as a download would have left it."""
    cache, revision = tmp_path / "cache", "0" * 40
    repository = cache / "models--someone--tiny"
    shutil.copytree(bert, repository / "snapshots" / revision)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(revision)
    model = SentenceTransformer("someone/tiny", cache_folder=str(cache), device="cpu")
    np.testing.assert_array_equal(model.encode("the game"), SentenceTransformer(bert, device="cpu").encode("the game"))
    assert 'base_model: "someone/tiny"' in _card(model, tmp_path)


def _card(model, tmp_path):
    model.save_pretrained(tmp_path / "card")
    return (tmp_path / "card/README.md").read_text()


def test_the_card_contains_no_folder_of_this_machine(bert, tmp_path):
    assert str(tmp_path) not in _card(SentenceTransformer(bert, device="cpu"), tmp_path)
    assert str(bert.parent) not in _card(SentenceTransformer(bert, device="cpu"), tmp_path)


def test_saving_over_a_model_keeps_other_files_and_file_modes(bert, tmp_path):
    model, target = SentenceTransformer(bert, device="cpu"), tmp_path / "model"
    model.save_pretrained(target)
    (target / "notes.txt").write_text("mine")
    (target / "more").mkdir()
    (target / "more/data.bin").write_bytes(b"1")
    with torch.no_grad():
        model.transformer.auto_model.embeddings.word_embeddings.weight.add_(1)
    model.save_pretrained(target)
    assert (target / "notes.txt").read_text() == "mine"
    assert (target / "more/data.bin").exists()
    np.testing.assert_array_equal(SentenceTransformer(target, device="cpu").encode(TEXTS), model.encode(TEXTS))
    assert os.listdir(tmp_path) == ["model"]
    (tmp_path / "plain").mkdir()
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in target.rglob("*.safetensors")}
    assert modes == {stat.S_IMODE((target / "modules.json").stat().st_mode)}


@pytest.mark.parametrize("existing", [False, True])
def test_a_save_that_fails_leaves_the_old_model(existing, bert, tmp_path, monkeypatch):
    model, target = SentenceTransformer(bert, device="cpu"), tmp_path / "model"
    if existing:
        model.save_pretrained(target)
    before = model.encode(TEXTS)

    def full_disk(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tercet.encoder.storage.write_json", full_disk)
    with pytest.raises(ModelError, match="cannot save to .*: No space left on device"):
        model.save_pretrained(target)
    assert os.listdir(tmp_path) == (["model"] if existing else [])
    if existing:
        np.testing.assert_array_equal(SentenceTransformer(target, device="cpu").encode(TEXTS), before)


def test_a_folder_with_the_name_of_a_file_of_the_model_is_not_lost(bert, tmp_path):
    model, target = SentenceTransformer(bert, device="cpu"), tmp_path / "model"
    model.save_pretrained(target)
    (target / "modules.json").unlink()
    (target / "modules.json").mkdir()
    (target / "modules.json/thesis.txt").write_text("mine")
    before = _contents(target)
    with pytest.raises(
        DataError, match=r"modules\.json is a folder, but a file of the model has this name; move it away"
    ):
        model.save_pretrained(target)
    assert _contents(target) == before


def _contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_saving_removes_the_files_of_another_model_and_keeps_those_of_the_user(bert, tmp_path):
    model, target = SentenceTransformer(bert, device="cpu"), tmp_path / "model"
    model.save_pretrained(target)
    foreign = [
        "adapter_config.json", "adapter_model.safetensors", "added_tokens.json", "special_tokens_map.json", "vocab.txt",
        "model-00001-of-00002.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "spiece.model",
        "1_Pooling/model.safetensors", "2_Dense/config.json", "2_Dense/pytorch_model.bin", "onnx/model.onnx",
        "sentence_xlnet_config.json", "chat_template.jinja",
    ]  # fmt: skip
    own = ["1_Pooling/notes.txt", "2_Dense/deep/data.bin", "thesis.bin", "vocabulary.txt", "paper/config.json",
           "paper/2_Dense/config.json", "my.safetensors", "vocab.csv", "model-final.safetensors",
           "1_experiment/config.json", "adapter_model_notes.md"]  # fmt: skip
    for name in foreign + own:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(name)
    model.save_pretrained(target)
    left = _contents(target)
    assert [name for name in foreign if name in left] == []
    assert {name: left[name].decode() for name in own} == {name: name for name in own}
    assert not (target / "onnx").exists()
    np.testing.assert_array_equal(SentenceTransformer(target, device="cpu").encode(TEXTS), model.encode(TEXTS))


@pytest.mark.parametrize("mode", [0o700, 0o2770])
def test_a_folder_keeps_its_permissions_and_its_place(mode, bert, tmp_path):
    model, target = SentenceTransformer(bert, device="cpu"), tmp_path / "model"
    target.mkdir()
    target.chmod(mode)
    before = target.stat()
    model.save_pretrained(target)
    after = target.stat()
    assert (stat.S_IMODE(after.st_mode), after.st_ino) == (mode, before.st_ino)
    assert stat.S_ISGID & mode == stat.S_ISGID & (target / "1_Pooling").stat().st_mode
    (target / "model.safetensors").chmod(0o640)
    model.save_pretrained(target)
    assert stat.S_IMODE((target / "model.safetensors").stat().st_mode) == 0o640


@pytest.mark.slow
@pytest.mark.parametrize("path", [".", "", "..", "../here", "link"])
def test_saving_to_the_current_folder_leaves_it_usable(path, bert, tmp_path, monkeypatch):
    model, here = SentenceTransformer(bert, device="cpu"), tmp_path / "here"
    here.mkdir()
    (here / "link").symlink_to(here)
    monkeypatch.chdir(here)
    (here / "notes.txt").write_text("mine")
    model.save_pretrained(path)
    assert (here / "notes.txt").read_text() == "mine"
    assert "notes.txt" in os.listdir(".")
    np.testing.assert_array_equal(SentenceTransformer(path or ".", device="cpu").encode(TEXTS), model.encode(TEXTS))


def test_saving_writes_through_no_link_in_the_folder(bert, tmp_path):
    model, target = SentenceTransformer(bert, device="cpu"), tmp_path / "model"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/config.json").write_text("precious")
    (tmp_path / "precious").write_text("precious")
    target.mkdir()
    (target / "1_Pooling").symlink_to(tmp_path / "elsewhere")
    (target / "model.safetensors").symlink_to(tmp_path / "precious")
    model.save_pretrained(target)
    assert (tmp_path / "precious").read_text() == (tmp_path / "elsewhere/config.json").read_text() == "precious"
    np.testing.assert_array_equal(SentenceTransformer(target, device="cpu").encode(TEXTS), model.encode(TEXTS))


USERS = {
    "README.md": "# My project\n", "config.json": '{"app": "mine"}', "model.safetensors": "weights of another program",
    "1_Pooling/config.json": "{}",
}  # fmt: skip


@pytest.mark.parametrize("name", list(USERS))
def test_files_of_the_user_with_names_of_a_model_are_kept(name, bert, tmp_path, caplog):
    model, target = SentenceTransformer(bert, device="cpu"), tmp_path / "project"
    (target / name).parent.mkdir(parents=True)
    (target / name).write_text(USERS[name])
    if name == "README.md":
        model.save_pretrained(target)
        assert "README.md is not a generated model card, so it is kept" in caplog.text
        np.testing.assert_array_equal(SentenceTransformer(target, device="cpu").encode(TEXTS), model.encode(TEXTS))
    else:
        with pytest.raises(DataError, match=f"not those of a model, but have their names: '{name}'; move them"):
            model.save_pretrained(target)
        assert _contents(target).keys() == {name}
    assert (target / name).read_text() == USERS[name]


@pytest.mark.parametrize("generated_by", ["tercet", "version 0.1.0", "sentence-transformers"])
def test_a_generated_model_card_is_replaced(generated_by, bert, tmp_path):
    model, target = SentenceTransformer(bert, device="cpu"), tmp_path / "model"
    if generated_by == "sentence-transformers":
        Peer(str(bert), device="cpu").save_pretrained(str(target))
    elif generated_by == "tercet":
        model.save_pretrained(target)
    else:
        shutil.copytree(OLD_MODEL, target)
    card = target / "README.md"
    card.write_text(f"{card.read_text()}\nof the old model\n")
    model.save_pretrained(target)
    assert "of the old model" not in card.read_text()


def test_a_file_at_the_path_of_the_model(bert, tmp_path):
    (tmp_path / "model").write_text("")
    with pytest.raises(ModelError, match="it is a file; pass the path of a folder"):
        SentenceTransformer(bert, device="cpu").save_pretrained(tmp_path / "model")


OLD_MODEL = Path(__file__).parents[1] / "fixtures/version-0.1.0/model"


@pytest.mark.slow
def test_a_model_of_version_0_1_0_loads(tmp_path):
    """Its tercet.json has no format version."""
    model = SentenceTransformer(OLD_MODEL, device="cpu")
    assert model.label_names == ["food", "money", "sport", "travel"]
    record = model.training_record
    assert record.loss == "BatchSemiHardTripletLoss"
    assert record.loss_settings == {"Distance": "euclidean", "Margin": 2.5}
    assert record.data["Training sentences"] == 16
    assert record.after["map@r"] == pytest.approx(0.17013888888888887)
    embeddings = model.encode(TEXTS)
    np.testing.assert_allclose(embeddings, Peer(str(OLD_MODEL), device="cpu").encode(TEXTS), atol=1e-6)
    model.save_pretrained(tmp_path / "saved")
    assert json.loads((tmp_path / "saved/tercet.json").read_text())["format_version"] == 2
    again = SentenceTransformer(tmp_path / "saved", device="cpu")
    assert (again.label_names, again.training_record) == (model.label_names, record)
    np.testing.assert_array_equal(again.encode(TEXTS), embeddings)
    assert "| MAP@R | 0.0556 | 0.1701 |" in (tmp_path / "saved/README.md").read_text()


def test_a_training_record_without_a_loss_is_refused(tmp_path):
    shutil.copytree(OLD_MODEL, tmp_path / "model")
    _edit(tmp_path / "model/tercet.json", training={"data": {}})
    with pytest.raises(
        ModelError, match="tercet.json: the field 'training' must be a JSON object with the field 'loss'"
    ):
        SentenceTransformer(tmp_path / "model", device="cpu")
