"""The lines of the docs that export a model and embed without PyTorch give its embeddings."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from tercet import SentenceTransformer
from tercet.encoder.modules import Normalize, Pooling, Transformer
from tercet.heads import LinearHead, append_head
from tests.child import ENVIRONMENT
from tests.docs.pages import ROOT, blocks

for _name in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(_name, reason=f"{_name} is not installed: pip install 'tercet[onnx]'")

_EXPORT, _SERVE = [block.source for block in blocks(ROOT / "docs/guides/serve.md") if block.language == "python"][:2]
_TEXTS = ["the soup is hot", "we flew to the coast in the early train", "bread"]


@pytest.mark.slow
def test_the_exported_model_embeds_as_the_model_does_and_the_server_needs_no_torch(bert, tmp_path):
    modules = [Transformer.load(str(bert)), Pooling(32, "mean"), Normalize()]
    model = SentenceTransformer(modules=modules, device="cpu")
    append_head(model, LinearHead(torch.randn(8, 32)))
    model.save_pretrained(tmp_path / "my-model")
    subprocess.run([sys.executable, "-c", _EXPORT], cwd=tmp_path, env=ENVIRONMENT, check=True, capture_output=True)
    expected = model.encode(_TEXTS)
    for file, tolerance in (("model.onnx", 1e-5), ("model_int8.onnx", 0.1)):
        script = (
            f"{_SERVE.replace('model_int8.onnx', file)}\nimport sys\nassert 'torch' not in sys.modules\n"
            f"np.save('found.npy', encode({_TEXTS!r}))\n"
            f"np.save('alone.npy', np.concatenate([encode([text]) for text in {_TEXTS!r}]))"
        )
        subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
        for found in ("found.npy", "alone.npy"):
            np.testing.assert_allclose(np.load(tmp_path / found), expected, atol=tolerance)
