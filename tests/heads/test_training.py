import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tercet import distances
from tercet.errors import DataError, EmbeddingError
from tercet.evaluation import label_metrics
from tercet.heads import HeadSettings, LinearHead, train_head
from tercet.heads.labels import RowLabels
from tercet.heads.training import head_loss
from tercet.losses import reference

FEW = HeadSettings(steps=5, batch_size=16)


def _data(rows=60, dim=8, labels=4, seed=0):
    """Return rows in which the label is in two of the directions, and noise in the others."""
    rng = np.random.default_rng(seed)
    label_ids = np.arange(rows) % labels
    x = rng.normal(size=(rows, dim)).astype(np.float32)
    angle = 2 * np.pi * label_ids / labels
    x[:, :2] = np.stack([np.cos(angle), np.sin(angle)], 1) + 0.2 * rng.normal(size=(rows, 2))
    x[:, 2:] *= 0.5
    return x, label_ids


@pytest.mark.slow
def test_training_raises_map_at_r_on_other_rows():
    (x, y), (other, other_y) = _data(rows=400, dim=24, seed=0), _data(dim=24, seed=1)
    head = train_head(x, y, settings=HeadSettings(steps=300, batch_size=64))
    before, after = (
        label_metrics(q, other_y, reference_embeddings=r, reference_labels=y)["map@r"]
        for q, r in ((other, x), (head(other), head(x)))
    )
    assert after > before + 0.15


def test_the_same_seed_gives_the_same_head_and_another_seed_another():
    x, y = _data()
    first, again, other = (train_head(x, y, settings=HeadSettings(steps=5, batch_size=16, seed=s)) for s in (1, 1, 2))
    assert torch.equal(first.weight, again.weight)
    assert not torch.equal(first.weight, other.weight)


def test_the_random_state_of_torch_is_left_alone():
    x, y = _data()
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    train_head(x, y, settings=FEW)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), dimension=st.integers(2, 5), margin=st.sampled_from([0.0, 0.3, 1.0]))
def test_a_step_has_the_loss_and_the_gradient_of_the_plain_semi_hard_loss(seed, dimension, margin):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(12, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (12,), generator=generator)
    labels[:3] = torch.tensor([0, 0, 1])
    weight = torch.randn(dimension, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    mapped = torch.nn.functional.normalize(x @ weight.T, dim=1)
    expected = reference.batch_semi_hard(distances.matrix(mapped, mapped, "euclidean"), labels.tolist(), margin)
    (gradient,) = torch.autograd.grad(expected, weight)
    loss = head_loss(x, labels, weight, RowLabels(labels.numpy()).loss(margin))
    loss.backward()
    torch.testing.assert_close(loss, expected.to(loss.dtype))
    torch.testing.assert_close(weight.grad, gradient)


def test_the_first_step_follows_the_gradient_of_the_loss():
    """Adam changes each value by the learning rate in its first step, against the sign of the gradient."""
    x, y = _data(rows=12)
    weight = torch.eye(8, requires_grad=True)
    rows = torch.nn.functional.normalize(torch.tensor(x), dim=1)
    head_loss(rows, torch.tensor(y), weight, RowLabels(y).loss(0.3)).backward()
    head = train_head(x, y, settings=HeadSettings(steps=1, dropout=0, learning_rate=0.01, margin=0.3))
    torch.testing.assert_close(head.weight - torch.eye(8), -0.01 * weight.grad.sign(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_length_of_a_row_does_not_matter(scale):
    x, y = _data()
    lengths = np.random.default_rng(0).uniform(0.5, 2, (len(x), 1)) * scale
    torch.testing.assert_close(
        train_head(x * lengths, y, settings=FEW).weight, train_head(x, y, settings=FEW).weight, atol=1e-4, rtol=0
    )


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x.tolist(),
        lambda x: x.astype(np.float64),
        lambda x: x.astype(np.float16),
        torch.tensor,
        lambda x: torch.tensor(x).bfloat16(),
        lambda x: torch.tensor(x, requires_grad=True),
        lambda x: np.asfortranarray(x),
    ],
)
def test_embeddings_of_any_floating_point_type(convert):
    x, y = _data()
    weight = train_head(convert(x), y, settings=FEW).weight
    assert weight.dtype == torch.float32
    assert weight.shape == (8, 8)
    torch.testing.assert_close(weight, train_head(x, y, settings=FEW).weight, atol=0.05, rtol=0)


@pytest.mark.parametrize(
    "convert",
    [
        lambda y: [f"label {value}" for value in y],
        lambda y: torch.tensor(y),
        lambda y: y.astype(np.int16) - 7,
        lambda y: np.array([f"label {value}" for value in y]),
    ],
)
def test_labels_of_any_type(convert):
    x, y = _data()
    assert torch.equal(train_head(x, convert(y), settings=FEW).weight, train_head(x, y, settings=FEW).weight)


def test_bool_labels_two_labels_labels_with_one_row_and_a_zero_row():
    x, _ = _data(rows=5)
    x[4] = 0
    for labels in ([True, True, False, False, False], ["a", "a", "b", "c", "d"], [1, 1, 0, 0, 0]):
        assert bool(train_head(x, labels, settings=FEW).weight.isfinite().all())


def test_more_labels_than_rows_in_a_batch():
    x, _ = _data(rows=60)
    head = train_head(x, np.arange(60) // 2, settings=HeadSettings(steps=3, batch_size=4))
    assert bool(head.weight.isfinite().all())


def test_a_smaller_dimension_starts_as_the_principal_directions():
    x, y = _data(rows=200)
    start = train_head(x, y, dimension=3, settings=HeadSettings(steps=1, learning_rate=1e-12)).weight.double().numpy()
    rows = x / np.linalg.norm(x, axis=1, keepdims=True)
    expected = np.linalg.svd(rows - rows.mean(0), full_matrices=False)[2][:3]
    np.testing.assert_allclose(np.abs(np.sum(start * expected, 1)), 1, atol=1e-4)
    assert train_head(x, y, dimension=3, settings=FEW)(x).shape == (200, 3)


@pytest.mark.parametrize(
    ("x", "y", "options", "error", "message"),
    [
        ([[1.0, 0.0], [float("nan"), 1.0]], [0, 0], {}, EmbeddingError, r"NaN or infinite values in row\(s\) 1;"),
        ([[1.0, 0.0], [float("inf"), 1.0]], [0, 0], {}, EmbeddingError, r"NaN or infinite values in row\(s\) 1;"),
        ([[1.0, 0.0], [0.0, 1.0]], [0, 0, 1], {}, EmbeddingError, "got 2 embeddings and 3 labels"),
        ([[1.0, 0.0], [0.0, 1.0]], [0, 0], {}, DataError, "one label only"),
        ([[1.0, 0.0], [0.0, 1.0]], [0, 1], {}, DataError, "no label with two"),
        ([[1.0, 0.0], [0.0, 1.0]], [0, None], {}, EmbeddingError, "labels, row 1: the label is missing"),
        ([[1.0, 0.0], [0.0, 1.0]], [0, 1], {"dimension": 3}, EmbeddingError, "must be at most 2"),
        ([[1.0, 0.0], [0.0, 1.0]], [0, 1], {"dimension": 0}, EmbeddingError, "dimension must be an integer"),
        ([[1.0, 0.0], [0.0]], [0, 1], {}, EmbeddingError, "rows of numbers of the same length"),
        ([], [], {}, EmbeddingError, "got torch.float64 of shape"),
        (["a text", "another"], [0, 1], {}, EmbeddingError, "embeddings must be a floating-point tensor"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_clear_error(x, y, options, error, message):
    with pytest.raises(error, match=message):
        train_head(x, y, **options)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"steps": 0}, "steps must be an integer of at least 1"),
        ({"batch_size": 3}, "batch_size must be an integer of at least 4"),
        ({"samples_per_label": 1}, "samples_per_label must be an integer of at least 2"),
        ({"samples_per_label": 600}, "batch_size must be at least twice samples_per_label=600"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"margin": -1}, "the margin must be a finite number of at least 0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"seed": -1}, "seed must be an integer of at least 0"),
    ],
)
def test_a_setting_out_of_range_is_refused(setting, message):
    x, y = _data()
    with pytest.raises(DataError, match=message):
        train_head(x, y, settings=HeadSettings(**setting))


@pytest.mark.parametrize(
    ("labels", "levels", "size"),
    [
        ([str(row % 7) for row in range(600)], None, 256),
        ([str(row % 8) for row in range(600)], None, 512),
        ([str(row % 30 if row % 5 < 2 else "most") for row in range(600)], None, 256),
        ([f"all/{row % 3}/{row % 60}" for row in range(600)], "/", 256),
        ([f"all/{row % 12}/{row % 60}" for row in range(600)], "/", 512),
        ([[str(row % 3), str(row % 60)] for row in range(600)], None, 512),
    ],
)
def test_the_default_batch_is_smaller_if_labels_are_few(labels, levels, size):
    x, _ = _data(rows=600)
    default, explicit, other = (
        train_head(x, labels, label_levels=levels, settings=HeadSettings(steps=2, batch_size=size)).weight
        for size in (None, size, 768 - size)
    )
    assert torch.equal(default, explicit)
    assert not torch.equal(default, other)


def test_the_identity_changes_no_row_of_length_1():
    x = torch.nn.functional.normalize(torch.randn(50, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    torch.testing.assert_close(LinearHead(torch.eye(8))(x), x, atol=1e-6, rtol=0)


def test_a_head_returns_the_kind_that_it_gets():
    head = LinearHead(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    rows = [[3.0, 4.0, 7.0], [0.0, 0.0, 0.0]]
    expected = torch.tensor([[0.6, 0.8], [0.0, 0.0]])
    torch.testing.assert_close(head(torch.tensor(rows, dtype=torch.float64)), expected)
    for given_rows in (rows, np.array(rows), np.array(rows, dtype=np.float16)):
        found = head(given_rows)
        assert isinstance(found, np.ndarray)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


def test_wrong_input_of_a_head():
    head = LinearHead(torch.eye(3))
    with pytest.raises(EmbeddingError, match=r"the head takes embeddings of dimension 3, but the embeddings have dim"):
        head(torch.ones(2, 4))
    with pytest.raises(EmbeddingError, match=r"NaN or infinite values in row\(s\) 1"):
        head(torch.tensor([[1.0, 1.0, 1.0], [1.0, float("nan"), 1.0]]))
    with pytest.raises(EmbeddingError, match="the weight of a head has NaN"):
        LinearHead(torch.full((2, 2), float("nan")))
    with pytest.raises(EmbeddingError, match="the weight of a head must be a floating-point tensor"):
        LinearHead(torch.ones(3))


def test_labels_that_look_the_same_and_a_separator_that_is_none(caplog):
    x = torch.randn(4, 3)
    train_head(x, ["a", "a", "b", "b "], settings=HeadSettings(steps=1))
    assert "'b' and 'b ' differ only in white space or Unicode form, and count as different labels" in caplog.text
    with pytest.raises(DataError, match="label_levels must be the separator of the levels, such as '/', got 3"):
        train_head(x, ["a", "a", "b", "b"], label_levels=3)
