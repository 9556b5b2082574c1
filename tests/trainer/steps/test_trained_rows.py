"""Training the word embeddings of the training tokens alone: the same run as with all, and what others see of it."""

import copy
import io

import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import nn
from transformers import TrainerCallback

from tercet import SentenceTransformer, SentenceTransformerTrainer, losses
from tercet.encoder.modules import StaticEmbedding
from tercet.trainer.steps import trained_rows_training
from tercet.trainer.steps.pace import seconds_per_step
from tercet.trainer.steps.trained_rows import TrainedRows, can_train_rows
from tests.conftest import TOPICS, WORDS, build_bert, build_roberta
from tests.ranks import run_ranks
from tests.trainer.helpers import flat_weights, logged_losses, make_arguments, make_trainer, turn_off_dropout

UNUSED = [f"unused{number}" for number in range(400)]


@pytest.fixture(scope="module", params=[build_bert, build_roberta], ids=["bert", "roberta"])
def encoder(request, tmp_path_factory):
    """A tiny encoder of which most words occur in no training sentence."""
    folder = request.param(tmp_path_factory.mktemp("large"))
    model = SentenceTransformer(folder)
    model.tokenizer.add_tokens(UNUSED)
    model[0].auto_model.resize_token_embeddings(len(model.tokenizer), mean_resizing=False)
    model.save(folder / "model")
    return folder / "model"


@pytest.fixture
def alone(monkeypatch):
    """A function that turns the training of some rows alone on or off."""

    def turn(on):
        monkeypatch.setattr(trained_rows_training, "_MOST_ROWS", 0.9 if on else 0.0)

    return turn


def of_the_library(kind):
    """Call a class one of Tercet: with a callback or a trainer of the user, all rows are trained."""
    kind.__module__ = "tercet.tests"
    return kind


@of_the_library
class Watch(TrainerCallback):
    """Keep the number of rows of the word embeddings in each step, and what `look` returns after the second one."""

    def __init__(self, look=None):
        self.rows, self.seen, self._look = set(), None, look

    def on_step_end(self, args, state, control, model=None, optimizer=None, **kwargs):
        """Look at the model."""
        self.rows.add(len(model.input_module.word_embeddings.weight))
        if state.global_step == 2 and self._look is not None:
            self.seen = self._look(model, optimizer)


def run(encoder, folder, data, *, look=None, resume=None, **options):
    """Train, and return the trainer and its callback."""
    watch = Watch(look)
    trainer = make_trainer(encoder, folder, data, callbacks=[watch], **options)
    trainer.train(resume_from_checkpoint=resume)
    return trainer, watch


@pytest.mark.parametrize("changes", [{}, {"optim": "adamw_torch", "gradient_accumulation_steps": 2}, {"bf16": True}])
def test_a_run_is_bit_identical_to_one_of_all_rows(changes, encoder, labelled, tmp_path, alone):
    """With dropout."""
    weights, losses_ = [], []
    for on in (True, False):
        alone(on)
        trainer, watch = run(encoder, tmp_path / str(on), labelled, changes={"max_grad_norm": 0.0, **changes})
        total = trainer.model.input_module.word_embeddings.num_embeddings
        assert (max(watch.rows) < total / 2) == on
        assert type(trainer.model.input_module.word_embeddings) is nn.Embedding
        weights.append(flat_weights(trainer.model))
        losses_.append(logged_losses(trainer))
    assert losses_[0] == losses_[1]
    assert torch.equal(*weights)


@pytest.mark.parametrize("changes", [{"max_grad_norm": 0.01}, {"mini_batch_tokens": 16}])
def test_a_run_equals_one_of_all_rows(changes, encoder, labelled, tmp_path, alone):
    """The norm of the gradient, or the gradient, is summed in another order. In float64, this changes no digit."""
    weights = []
    for on in (True, False):
        alone(on)
        model = SentenceTransformer(encoder).double()
        arguments = make_arguments(tmp_path / str(on), **changes)
        loss = losses.BatchAllTripletLoss(model, margin=0.3)
        SentenceTransformerTrainer(model, arguments, labelled, loss=loss).train()
        weights.append(flat_weights(model))
    torch.testing.assert_close(*weights, rtol=0, atol=1e-8)


def test_triplets_several_sets_and_a_callback_of_the_end(encoder, labelled, sentences, tmp_path, alone):
    data = Dataset.from_dict({"a": sentences[:8], "p": sentences[8:], "n": sentences[::-1][:8]})
    seen = {}

    @of_the_library
    class End(TrainerCallback):
        def on_train_end(self, args, state, control, model=None, optimizer=None, **kwargs):
            seen[len(model.input_module.word_embeddings.weight)] = optimizer.state_dict()["state"][0]["exp_avg"].shape

    alone(True)
    for kind, rows in ((losses.TripletLoss, data), (losses.BatchAllTripletLoss, {"x": labelled, "y": labelled})):
        changes = {"batch_sampler": "batch_sampler"} if kind is losses.TripletLoss else {}
        trainer = make_trainer(
            encoder, tmp_path / kind.__name__, rows, kind, changes=changes, callbacks=[End(), watch := Watch()]
        )
        trainer.train()
        layer = trainer.model.input_module.word_embeddings
        assert max(watch.rows) < layer.num_embeddings / 2
        assert seen.keys() == {layer.num_embeddings}
        assert seen[layer.num_embeddings] == layer.weight.shape
        parameters = [value for group in trainer.optimizer.param_groups for value in group["params"]]
        assert any(value is layer.weight for value in parameters)


def test_others_see_all_rows_in_the_middle_of_a_run(encoder, labelled, tmp_path, alone):
    """The state, a saved model, a copy, a pickled model, embeddings of other words, and the state of the optimizer."""
    words = [" ".join(UNUSED[:3]), "the team won"]

    def look(model, optimizer):
        buffer = io.BytesIO()
        torch.save(model, buffer)
        buffer.seek(0)
        model.save_pretrained(tmp_path / "inside")
        return {
            "state": {name: value.clone() for name, value in model.state_dict().items()},
            "saved": SentenceTransformer(tmp_path / "inside").state_dict(),
            "copy": copy.deepcopy(model).state_dict(),
            "pickled": torch.load(buffer, weights_only=False).state_dict(),
            "embeddings": model.encode(words),
            "kinds": (type(copy.deepcopy(model).input_module.word_embeddings), model.training),
            "optimizer": {number: copy.deepcopy(values) for number, values in optimizer.state_dict()["state"].items()},
        }

    found = []
    for on in (True, False):
        alone(on)
        found.append(run(encoder, tmp_path / str(on), labelled, look=look)[1].seen)
    with_rows, plain = found
    for name in ("saved", "copy", "pickled"):
        assert with_rows[name].keys() == plain["state"].keys()
        assert all(torch.equal(value, with_rows["state"][key]) for key, value in with_rows[name].items())
    torch.testing.assert_close(with_rows["state"], plain["state"], rtol=0, atol=0)
    assert (with_rows["embeddings"] == plain["embeddings"]).all()
    assert with_rows["kinds"] == plain["kinds"] == (nn.Embedding, True)
    torch.testing.assert_close(with_rows["optimizer"], plain["optimizer"], rtol=0, atol=0)


@pytest.mark.parametrize(("first", "then"), [(True, True), (True, False), (False, True)])
def test_a_checkpoint_is_resumed_with_and_without(first, then, encoder, labelled, tmp_path, alone):
    changes = {"save_strategy": "steps", "save_steps": 2, "max_steps": 6}
    alone(first)
    whole, _ = run(encoder, tmp_path / "run", labelled, changes=changes)
    alone(then)
    resumed, watch = run(
        encoder, tmp_path / "run", labelled, changes=changes, resume=str(tmp_path / "run" / "checkpoint-2")
    )
    assert (max(watch.rows) < 300) == then
    assert torch.equal(flat_weights(resumed.model), flat_weights(whole.model))


def test_rows_outside_that_have_a_state_are_trained(encoder, labelled, tmp_path, alone):
    """Only another run could write such a state, so all rows are trained."""
    alone(True)
    changes = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    run(encoder, tmp_path / "run", labelled, changes=changes)
    trainer = make_trainer(encoder, tmp_path / "run", labelled, changes=changes)
    layer = trainer.model.input_module.word_embeddings
    trained = TrainedRows(layer, torch.arange(20))
    optimizer = torch.optim.AdamW(trainer.model.parameters())
    trained.follow(optimizer)
    state = optimizer.state_dict()
    moments = {name: torch.ones(layer.num_embeddings, layer.embedding_dim) for name in ("exp_avg", "exp_avg_sq")}
    state["state"] = {0: {"step": torch.tensor(1.0), **moments}}
    optimizer.load_state_dict(state)
    assert not trained.is_active
    assert optimizer.state[layer.weight]["exp_avg"].shape == layer.weight.shape


def test_a_token_that_a_subclass_adds_is_trained(encoder, labelled, tmp_path, alone):
    """From its first step on, all rows are trained, with the state and the gradients so far."""

    @of_the_library
    class Replacing(SentenceTransformerTrainer):
        def compute_loss(self, model, inputs, *args, **kwargs):
            if self.state.global_step >= 2:
                features = inputs["features"]
                features["input_ids"] = features["input_ids"].clone()
                features["input_ids"][0, 1] = len(self.model.tokenizer) - 1
            return super().compute_loss(model, inputs, *args, **kwargs)

    weights = []
    for on in (True, False):
        alone(on)
        model = SentenceTransformer(encoder).double()
        watch = Watch()
        trainer = Replacing(
            model,
            make_arguments(tmp_path / str(on), max_steps=4, gradient_accumulation_steps=2),
            labelled,
            loss=losses.BatchAllTripletLoss(model, margin=0.3),
            callbacks=[watch],
        )
        trainer.train()
        assert (min(watch.rows) < 300) == on
        assert max(watch.rows) == len(model.tokenizer)
        weights.append(flat_weights(model))
    torch.testing.assert_close(*weights, rtol=0, atol=1e-8)


def _weights_with_and_without(make, encoder, folder, alone, expect_rows):
    """Train in float64 with and without, and compare the weights. `make(model, arguments, callbacks)` is a trainer."""
    weights = []
    for on in (True, False):
        alone(on)
        model, watch = SentenceTransformer(encoder).double(), Watch()
        make(model, make_arguments(folder / str(on)), [watch]).train()
        assert (min(watch.rows) < 300) == (on and expect_rows)
        assert type(model.input_module.word_embeddings) is nn.Embedding
        weights.append(flat_weights(model))
    torch.testing.assert_close(*weights, rtol=0, atol=1e-8)


def test_the_optimizer_of_a_subclass_trains_all_rows(encoder, labelled, tmp_path, alone):
    """It may change rows without a gradient, as weight decay does."""

    @of_the_library
    class Decaying(SentenceTransformerTrainer):
        def create_optimizer(self, model=None):
            self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, weight_decay=0.5)
            return self.optimizer

    @of_the_library
    class OtherKind(SentenceTransformerTrainer):
        @staticmethod
        def get_optimizer_cls_and_kwargs(args, model=None):
            return torch.optim.AdamW, {"lr": 1e-3, "weight_decay": 0.5}

    for kind in (Decaying, OtherKind):

        def make(model, arguments, callbacks, kind=kind):
            loss = losses.BatchAllTripletLoss(model, margin=0.3)
            return kind(model, arguments, labelled, loss=loss, callbacks=callbacks)

        _weights_with_and_without(make, encoder, tmp_path / kind.__name__, alone, expect_rows=False)


def test_a_moving_average_of_the_user_finds_all_rows(encoder, labelled, tmp_path, alone):
    """A callback that keeps the parameters from before the training."""

    class Average(TrainerCallback):
        def __init__(self, model):
            self.averaged = torch.optim.swa_utils.AveragedModel(model)

        def on_step_end(self, args, state, control, model=None, **kwargs):
            self.averaged.update_parameters(model)

    found = []

    def make(model, arguments, callbacks):
        found.append(Average(model))
        loss = losses.BatchAllTripletLoss(model, margin=0.3)
        return SentenceTransformerTrainer(model, arguments, labelled, loss=loss, callbacks=[*callbacks, found[-1]])

    _weights_with_and_without(make, encoder, tmp_path, alone, expect_rows=False)
    torch.testing.assert_close(*(flat_weights(one.averaged) for one in found), rtol=0, atol=1e-8)


def test_a_loss_of_the_user_that_reads_all_weights(encoder, labelled, tmp_path, alone):
    class Penalized(losses.BatchAllTripletLoss):
        def compute_loss_from_embeddings(self, *args, **kwargs):
            penalty = sum(value.square().sum() for value in self.model.parameters())
            return super().compute_loss_from_embeddings(*args, **kwargs) + 0.01 * penalty

    def make(model, arguments, callbacks):
        loss = Penalized(model, margin=0.3)
        return SentenceTransformerTrainer(model, arguments, labelled, loss=loss, callbacks=callbacks)

    _weights_with_and_without(make, encoder, tmp_path, alone, expect_rows=False)


def test_a_model_that_is_compiled_whole(encoder, labelled, tmp_path, alone):
    """With `fullgraph`, a part that cannot be compiled is an error."""

    def make(model, arguments, callbacks):
        turn_off_dropout(model)
        model.input_module.auto_model.embeddings.compile(fullgraph=True, backend="eager")
        loss = losses.BatchAllTripletLoss(model, margin=0.3)
        return SentenceTransformerTrainer(model, arguments, labelled, loss=loss, callbacks=callbacks)

    _weights_with_and_without(make, encoder, tmp_path, alone, expect_rows=False)


def test_a_hook_of_the_weight_sees_the_gradients_of_all_rows(encoder, labelled, tmp_path, alone):
    """Such as one that keeps the embeddings of some tokens."""

    def make(model, arguments, callbacks):
        weight = model.input_module.word_embeddings.weight
        weight.register_hook(lambda gradient: gradient * (torch.arange(len(weight)) > 20).unsqueeze(1))
        loss = losses.BatchAllTripletLoss(model, margin=0.3)
        return SentenceTransformerTrainer(model, arguments, labelled, loss=loss, callbacks=callbacks)

    _weights_with_and_without(make, encoder, tmp_path, alone, expect_rows=False)


@pytest.mark.parametrize("evaluating", [False, True])
def test_another_token_in_the_middle_of_a_batch(evaluating, encoder, labelled, tmp_path, alone):
    """The rows that were looked up before get their gradients, too; also if dropout is turned off."""

    @of_the_library
    class Twice(SentenceTransformerTrainer):
        def compute_loss(self, model, inputs, *args, **kwargs):
            model.train(not evaluating)
            first = super().compute_loss(model, {**inputs, "features": dict(inputs["features"])}, *args, **kwargs)
            features = {**inputs["features"], "input_ids": inputs["features"]["input_ids"].clone()}
            features["input_ids"][0, 1] = len(self.model.tokenizer) - 1
            return first + super().compute_loss(model, {**inputs, "features": features}, *args, **kwargs)

    weights = []
    for on in (True, False):
        alone(on)
        model = SentenceTransformer(encoder).double()
        loss = losses.BatchAllTripletLoss(model, margin=0.3)
        Twice(model, make_arguments(tmp_path / str(on)), labelled, loss=loss).train()
        weights.append(flat_weights(model))
    torch.testing.assert_close(*weights, rtol=0, atol=1e-8)


def test_a_run_that_is_repeated_with_smaller_batches(encoder, labelled, tmp_path, alone):
    """As `auto_find_batch_size` does if memory is exhausted."""

    @of_the_library
    class Exhausted(SentenceTransformerTrainer):
        failed = False

        def compute_loss(self, *args, **kwargs):
            if self.state.global_step == 1 and not self.failed:
                self.failed = True
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return super().compute_loss(*args, **kwargs)

    def make(model, arguments, callbacks):
        arguments.auto_find_batch_size, arguments.batch_sampler = True, "batch_sampler"
        loss = losses.BatchAllTripletLoss(model, margin=0.3)
        return Exhausted(model, arguments, labelled, loss=loss, callbacks=callbacks)

    _weights_with_and_without(make, encoder, tmp_path, alone, expect_rows=True)


def test_weights_are_known_in_the_middle_and_after(encoder, labelled, tmp_path, alone):
    """A copy and the model itself have the weights that were stored with a checkpoint."""
    alone(True)
    seen = {}

    @of_the_library
    class Look(TrainerCallback):
        def on_save(self, args, state, control, model=None, **kwargs):
            seen.update(model=model.weights_are_known, copy=copy.deepcopy(model).weights_are_known)
            raise KeyboardInterrupt

    changes = {"save_strategy": "steps", "save_steps": 2}
    trainer = make_trainer(encoder, tmp_path, labelled, changes=changes, callbacks=[Look()])
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert seen == {"model": True, "copy": True}
    assert trainer.model.weights_are_known


def test_a_copy_keeps_the_hooks_of_the_user():
    layer = nn.Embedding(6, 3)
    layer.register_state_dict_post_hook(lambda module, state, prefix, metadata: state.update({f"{prefix}mark": 1}))
    trained = TrainedRows(layer, torch.tensor([1, 2]))
    copied = copy.deepcopy(layer)
    trained.stop()
    assert copied.state_dict().keys() == {"weight", "mark"}
    assert len(copied._state_dict_hooks) == 1


def test_the_weight_can_be_replaced_for_a_call():
    layer = nn.Embedding(6, 3)
    trained = TrainedRows(layer, torch.tensor([1, 2]))
    other = torch.ones(2, 3, requires_grad=True)
    torch.func.functional_call(layer, {"weight": other}, torch.tensor([2, 2])).sum().backward()
    assert other.grad.tolist() == [[0, 0, 0], [2, 2, 2]]
    assert trained.rows.grad is None


def test_a_layer_that_a_callback_freezes_stays_frozen():
    layer = nn.Embedding(6, 3)
    trained = TrainedRows(layer, torch.tensor([1, 2]))
    layer.requires_grad_(False)
    trained.stop()
    assert not layer.weight.requires_grad


def test_weights_can_be_loaded_in_the_middle(encoder, labelled, tmp_path, alone):
    start = SentenceTransformer(encoder).state_dict()
    alone(True)

    def look(model, optimizer):
        model.load_state_dict(start)
        return {name: value.clone() for name, value in model.state_dict().items()}

    found = run(encoder, tmp_path, labelled, look=look)[1].seen
    torch.testing.assert_close(found, start, rtol=0, atol=0)


@pytest.mark.parametrize(
    "changes",
    [{"weight_decay": 0.01}, {"optim": "sgd"}, {"optim": "adafactor"}, {"optim_args": "amsgrad=True"}],
)
def test_all_rows_are_trained_if_the_result_could_differ(changes, encoder, labelled, tmp_path, alone):
    alone(True)
    trainer, watch = run(encoder, tmp_path, labelled, changes=changes)
    assert watch.rows == {trainer.model.input_module.word_embeddings.num_embeddings}


def test_all_rows_are_trained_if_the_tokens_are_not_known(encoder, labelled, tmp_path, alone, monkeypatch):
    """A data set with a transform, an own collator, a stream, an own optimizer, and a data set that is too large."""
    from tercet.trainer.batches import tokenizing

    alone(True)
    changing = labelled.with_transform(lambda rows: {**rows, "text": [f"{text} new" for text in rows["text"]]})
    own = make_trainer(encoder, tmp_path / "own", labelled)
    for name, data, options in (
        ("transform", changing, {}),
        ("stream", labelled.to_iterable_dataset(), {"changes": {"max_steps": 3}}),
        ("optimizer", labelled, {"optimizer_cls_and_kwargs": (torch.optim.AdamW, {"lr": 1e-3})}),
    ):
        trainer, watch = run(encoder, tmp_path / name, data, **options)
        assert watch.rows == {trainer.model.input_module.word_embeddings.num_embeddings}, name
    monkeypatch.setattr(tokenizing, "ROWS_TOKENIZED_ONCE", 3)
    assert run(encoder, tmp_path / "large", labelled)[1].rows == {own.model.input_module.word_embeddings.num_embeddings}


def test_a_failed_run_gives_the_rows_back(encoder, labelled, tmp_path, alone):
    alone(True)

    def fail(model, optimizer):
        raise KeyboardInterrupt

    trainer = make_trainer(encoder, tmp_path, labelled, callbacks=[Watch(fail)])
    before = trainer.model.input_module.word_embeddings.weight
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    layer = trainer.model.input_module.word_embeddings
    assert layer.weight is before
    assert type(layer) is nn.Embedding
    assert not layer._state_dict_hooks


def test_a_second_training_goes_on(encoder, labelled, tmp_path, alone):
    """The optimizer of the first one has all rows, and keeps them."""
    weights = []
    for on in (True, False):
        alone(on)
        trainer, _ = run(encoder, tmp_path / str(on), labelled)
        trainer.train()
        weights.append(flat_weights(trainer.model))
    torch.testing.assert_close(*weights, rtol=0, atol=0)


def test_the_pace_is_measured_with_these_rows(encoder, labelled, tmp_path, alone, monkeypatch):
    alone(True)
    trainer = make_trainer(encoder, tmp_path, labelled)
    before, rows, step = flat_weights(trainer.model).clone(), set(), SentenceTransformerTrainer._training_step

    def watched(self, *args, **kwargs):
        rows.add(len(self.model.input_module.word_embeddings.weight))
        return step(self, *args, **kwargs)

    monkeypatch.setattr(SentenceTransformerTrainer, "_training_step", watched)
    assert seconds_per_step(trainer) > 0
    assert max(rows) < 300
    assert torch.equal(flat_weights(trainer.model), before)


def test_a_static_encoder(labelled, tmp_path, alone):
    """Only its embeddings are trained, so its step is almost nothing but the optimizer."""
    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate([*WORDS, *UNUSED, "[UNK]"])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    torch.manual_seed(0)
    static = StaticEmbedding(tokenizer, embedding_dim=16)
    start, weights = copy.deepcopy(static), []
    for on in (True, False):
        alone(on)
        model = SentenceTransformer(modules=[copy.deepcopy(start)])
        watch = Watch()
        trainer = SentenceTransformerTrainer(
            model,
            make_arguments(tmp_path / str(on)),
            labelled,
            loss=losses.BatchAllTripletLoss(model, margin=0.3),
            callbacks=[watch],
        )
        trainer.train()
        assert (max(watch.rows) < 200) == on
        weights.append(flat_weights(model))
    torch.testing.assert_close(*weights, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Embedding(4, 2, sparse=True), nn.Embedding(4, 2, max_norm=1.0), nn.Embedding(4, 2, scale_grad_by_freq=True),
        nn.EmbeddingBag(4, 2, mode="sum"), nn.Linear(4, 2), nn.Embedding.from_pretrained(torch.ones(4, 2)),
    ],
)  # fmt: skip
def test_layers_whose_rows_are_not_trained_alone(layer):
    assert not can_train_rows(layer)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
def test_layers_with_a_forward_pass_or_a_weight_of_their_own():
    replaced, normed = nn.Embedding(4, 2), nn.utils.weight_norm(nn.Embedding(4, 2))
    replaced.forward = lambda ids: replaced.weight[ids]
    assert not can_train_rows(replaced)
    assert not can_train_rows(normed)


def test_a_padding_row_gets_no_gradient():
    """As in `nn.Embedding`."""
    plain = nn.Embedding(6, 3, padding_idx=4)
    layer = copy.deepcopy(plain)
    trained = TrainedRows(layer, torch.tensor([1, 2, 4]))
    ids = torch.tensor([[4, 1], [2, 4]])
    for one in (plain, layer):
        (one(ids) ** 2).sum().backward()
    trained.stop()
    assert torch.equal(layer.weight.grad, plain.weight.grad)
    assert not layer.weight.grad[4].any()


def _two_processes(folder, encoder):
    data = Dataset.from_dict({
        "text": [sentence for topic in TOPICS.values() for sentence in topic],
        "label": [name for name, topic in TOPICS.items() for _ in topic],
    })  # fmt: skip
    watch = run(encoder, folder, data, changes={"use_cpu": True, "per_device_train_batch_size": 4})[1]
    assert len(watch.rows) == 1
    assert min(watch.rows) > 400


@pytest.mark.slow
def test_two_processes_train_all_rows(encoder, tmp_path):
    run_ranks(_two_processes, str(tmp_path), str(encoder), processes=2)
