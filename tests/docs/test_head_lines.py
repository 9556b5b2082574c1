"""The lines of the docs that apply a head without Tercet give its embeddings."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from tercet import SentenceTransformer
from tercet.encoder.modules import Normalize, Pooling, Transformer
from tercet.heads import LinearHead, append_head, save_head
from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs" / "guides" / "heads.md"


def _block(word: str) -> str:
    (found,) = (block.source for block in blocks(PAGE) if block.language == "python" and word in block.source)
    return found


def test_numpy_applies_a_head_without_torch(tmp_path):
    x = np.random.default_rng(0).normal(size=(50, 24)).astype(np.float32)
    head = LinearHead(torch.randn(8, 24, generator=torch.Generator().manual_seed(0)))
    save_head(head, tmp_path / "my-head")
    np.save(tmp_path / "vectors.npy", x)
    script = (
        f"{_block('head.safetensors')}\nimport sys\nassert 'torch' not in sys.modules\nnp.save('mapped.npy', mapped)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "mapped.npy"), head(x), atol=1e-6)


@pytest.mark.parametrize("normalize", [False, True])
def test_plain_transformers_applies_the_head_of_a_model(normalize, bert, tmp_path, monkeypatch):
    modules = [Transformer.load(str(bert)), Pooling(32, "mean"), *([Normalize()] if normalize else [])]
    model = SentenceTransformer(modules=modules, device="cpu")
    append_head(model, LinearHead(torch.randn(8, 32, generator=torch.Generator().manual_seed(0))))
    model.save_pretrained(tmp_path / "my-model")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(f"from pathlib import Path\n{_block('AutoModel')}", names)
    expected = model.encode(["i cannot log in", "the app crashes"])
    np.testing.assert_allclose(names["embeddings"].numpy(), expected, atol=1e-6)
