"""Batch samplers draw what those of sentence-transformers draw."""

import random

import pytest
import torch
from datasets import Dataset
from sentence_transformers.base import sampler as peer
from torch.utils.data import ConcatDataset, RandomSampler

from tercet.data import batch_samplers as own
from tercet.errors import DataError


def _data(rows, different=20):
    draw = random.Random(rows)
    columns = {"a": [str(draw.randrange(different)) for _ in range(rows)]}
    return Dataset.from_dict({**columns, "label": [draw.randrange(4) for _ in range(rows)]})


def _epochs(sampler):
    drawn = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        drawn.append(list(sampler))
    return drawn, len(sampler)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [4, 16])
def test_batches_without_duplicates(batch_size, drop_last):
    made = [
        module.NoDuplicatesBatchSampler(_data(50), batch_size, drop_last, ["label"], torch.Generator(), 3)
        for module in (peer, own)
    ]
    expected, found = map(_epochs, made)
    assert found == expected
    texts = _data(50)["a"][:]
    assert all(len({texts[row] for row in batch}) == len(batch) for epoch in found[0] for batch in epoch)


@pytest.mark.parametrize("name", ["RoundRobinBatchSampler", "ProportionalBatchSampler"])
@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_of_several_data_sets(drop_last, name):
    parts = [_data(50), _data(31)]
    drawn = []
    for module in (peer, own):
        generator = torch.Generator()
        samplers = [
            module.DefaultBatchSampler(RandomSampler(part, generator=generator), 8, drop_last, None, generator, 3)
            for part in parts
        ]
        drawn.append(_epochs(getattr(module, name)(ConcatDataset(parts), samplers, generator, 3)))
    assert drawn[1] == drawn[0]
    assert len({tuple(map(tuple, epoch)) for epoch in drawn[1][0]}) == 3


def test_too_few_different_texts_are_reported(caplog):
    sampler = own.NoDuplicatesBatchSampler(_data(20, different=3), 4, True, ["label"], torch.Generator(), 0)
    assert list(sampler) == []
    assert "an epoch has only 0 of 5 batches, because the data have few different texts" in caplog.text


def test_groups_by_label_need_a_label_column():
    sampler = own.GroupByLabelBatchSampler(_data(40), 8, False, ["label"], seed=1)
    assert sorted({row for batch in sampler for row in batch}) == list(range(40))
    with pytest.raises(DataError, match=r"has none of the label columns \['score'\]; its columns are \['a', 'label'\]"):
        own.GroupByLabelBatchSampler(_data(40), 8, False, ["score"])
    with pytest.raises(DataError, match="got 1 batch samplers for 2 data sets"):
        own.RoundRobinBatchSampler(ConcatDataset([_data(8), _data(9)]), [sampler])
