"""What every batch loss must do, whatever the batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tercet.losses import functional
from tests.losses.helpers import VARIANTS

every_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
quick = settings(max_examples=40, deadline=None)


@st.composite
def batches(draw):
    size = draw(st.integers(1, 14))
    labels = torch.tensor(draw(st.lists(st.integers(0, 4), min_size=size, max_size=size)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    return torch.randn(size, 4, dtype=torch.float64, generator=generator), labels


@every_variant
@given(batch=batches(), seed=st.integers(0, 1000))
@quick
def test_permuting_the_batch_changes_nothing(variant, batch, seed):
    x, labels = batch
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(variant.value(x[order], labels[order]), variant.value(x, labels))


@every_variant
@given(batch=batches())
@quick
def test_renaming_labels_changes_nothing(variant, batch):
    x, labels = batch
    renamed = torch.tensor([40, -7, 3, 2**33, 0])[labels]
    torch.testing.assert_close(variant.value(x, renamed), variant.value(x, labels))


@every_variant
@given(batch=batches(), seed=st.integers(0, 1000))
@quick
def test_rotating_and_moving_the_embeddings_changes_nothing(variant, batch, seed):
    x, labels = batch
    generator = torch.Generator().manual_seed(seed)
    rotation, _ = torch.linalg.qr(torch.randn(4, 4, dtype=x.dtype, generator=generator))
    torch.testing.assert_close(variant.value(x @ rotation + 3, labels), variant.value(x, labels))


@every_variant
@given(batch=batches(), margin=st.floats(0, 6))
@quick
def test_a_loss_is_never_negative_and_equals_the_loops(variant, batch, margin):
    x, labels = batch
    loss = variant.value(x, labels, margin=margin)
    assert loss >= 0
    torch.testing.assert_close(loss, variant.reference(x, labels, margin=margin))


@given(batch=batches(), margin=st.floats(0, 3), more=st.floats(0, 3))
@quick
def test_a_larger_margin_never_lowers_hard_and_semi_hard_losses(batch, margin, more):
    x, labels = batch
    for loss in (functional.batch_hard_triplet_loss, functional.batch_semi_hard_triplet_loss):
        assert loss(x, labels, margin=margin + more) >= loss(x, labels, margin=margin) - 1e-12


@given(batch=batches(), margin=st.floats(0, 3), more=st.floats(0, 3))
@quick
def test_a_larger_margin_never_lowers_the_sum_of_all_hinges(batch, margin, more):
    """BatchAll's mean is over the active hinges; their sum is the mean times their number."""
    x, labels = batch
    d = torch.cdist(x, x)
    same = labels.unsqueeze(1) == labels

    def total(margin: float) -> torch.Tensor:
        valid = (same & ~torch.eye(len(x), dtype=torch.bool)).unsqueeze(2) & ~same.unsqueeze(1)
        active = ((d.unsqueeze(2) - d.unsqueeze(1) + margin > 0) & valid).sum()
        return functional.batch_all_triplet_loss(x, labels, margin=margin) * active

    assert total(margin + more) >= total(margin) - 1e-9
