"""Writing the embeddings of batches into a matrix, with copies that are done later."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tercet import SentenceTransformer
from tercet.encoder import row_writer
from tercet.encoder.row_writer import RowWriter

CPU = torch.device("cpu")


@pytest.fixture
def late(monkeypatch):
    """Copies that have other values until they are waited for, as those of a GPU. The largest number in flight."""
    flying, numbers = [], []

    def start(values, device):
        copy = torch.full_like(values, torch.nan)
        flying.append(copy)
        numbers.append(len(flying))

        def wait():
            assert flying.pop(0) is copy
            copy.copy_(values)

        return copy, wait

    monkeypatch.setattr(row_writer, "_start_copy", start)
    return numbers


def test_late_copies_give_the_same_matrix_and_few_are_in_flight(late):
    writer, expected = RowWriter((50, 3), CPU), torch.randn(50, 3)
    for rows in np.random.default_rng(0).permutation(50).reshape(10, 5):
        writer.write(rows, expected[torch.from_numpy(rows)])
    assert torch.equal(writer.finish(), expected)
    assert max(late) == row_writer._COPIES_IN_FLIGHT + 1
    assert RowWriter((0, 3), CPU).finish().shape == (0, 3)


@pytest.mark.parametrize("options", [{}, {"convert_to_tensor": True}, {"precision": "uint8"}], ids=str)
def test_encode_returns_the_same_with_late_copies(options, bert, sentences, late, monkeypatch):
    model = SentenceTransformer(bert, device="cpu")
    found = model.encode(sentences, batch_tokens=24, **options)
    assert len(late) > row_writer._COPIES_IN_FLIGHT + 1
    monkeypatch.undo()
    np.testing.assert_array_equal(found, model.encode(sentences, batch_tokens=24, **options))


def test_embeddings_are_shortened_and_scaled_before_they_are_copied(bert, sentences):
    model = SentenceTransformer(bert, device="cpu")
    whole = model.encode(sentences, batch_tokens=24, convert_to_tensor=True)
    short = model.encode(sentences, batch_tokens=24, truncate_dim=5, normalize_embeddings=True)
    np.testing.assert_array_equal(short, F.normalize(whole[:, :5], dim=1).numpy())
    assert short.base is None or short.base.nbytes == short.nbytes
    many = model.encode(sentences, batch_tokens=24, truncate_dim=9999)
    np.testing.assert_array_equal(many, whole.numpy())


def test_an_output_of_another_width_than_the_model_states_is_an_error(bert, sentences, monkeypatch):
    model = SentenceTransformer(bert, device="cpu")
    width = model.get_sentence_embedding_dimension()
    monkeypatch.setattr("tercet.encoder.encode.embedding_dimension", lambda modules: width - 1)
    with pytest.raises(RuntimeError, match="index_copy_"):
        model.encode(sentences)


@pytest.mark.gpu
@pytest.mark.parametrize("to_cpu", [True, False])
def test_rows_of_a_gpu_are_written_whole(to_cpu):
    gpu = torch.device("cuda")
    expected = torch.randn(4096, 384, device=gpu)
    writer = RowWriter((4096, 384), CPU if to_cpu else gpu)
    for rows in np.random.default_rng(0).permutation(4096).reshape(64, 64):
        values = expected[torch.from_numpy(rows).to(gpu)]
        torch.cuda._sleep(2_000_000)  # The values come late.
        writer.write(rows, values * 1)
        del values
    assert torch.equal(writer.finish().to(gpu), expected)


@pytest.mark.gpu
def test_encode_on_a_gpu_returns_the_same_on_both_devices(bert, sentences):
    model = SentenceTransformer(bert, device="cuda")
    on_cpu = model.encode(sentences * 20, batch_tokens=100, normalize_embeddings=True)
    on_gpu = model.encode(sentences * 20, batch_tokens=100, normalize_embeddings=True, convert_to_tensor=True)
    assert on_gpu.device.type == "cuda"
    np.testing.assert_array_equal(on_cpu, on_gpu.cpu().numpy())
