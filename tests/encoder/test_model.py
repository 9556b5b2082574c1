"""The model: what `encode` gives back, similarities, prompts, and uploading."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer as Peer

from tercet import SentenceTransformer
from tercet.errors import EmbeddingError, ModelError


@pytest.fixture
def model(bert):
    return SentenceTransformer(bert, device="cpu", prompts={"query": "the team "})


def test_order_is_kept_whatever_the_lengths_and_batches(model, sentences):
    one_by_one = np.stack([model.encode(sentence) for sentence in sentences])
    for batch_size in (1, 3, 100):
        np.testing.assert_allclose(model.encode(sentences, batch_size=batch_size), one_by_one, atol=1e-6)


def test_shapes_and_types(model, sentences):
    assert model.encode("the game").shape == (32,)
    assert model.encode(["the game"]).shape == (1, 32)
    assert model.encode([]).shape == (0, 32)
    assert model.encode([]).dtype == model.encode("a").dtype == np.float32
    assert isinstance(model.encode("a", convert_to_tensor=True), torch.Tensor)
    assert isinstance(model.encode("a", convert_to_numpy=False), torch.Tensor)
    several = model.encode(sentences, convert_to_numpy=False)
    assert isinstance(several, list)
    assert several[0].shape == (32,)
    assert model.encode(tuple(sentences)).shape == (len(sentences), 32)
    lengths = np.linalg.norm(model.encode(sentences, normalize_embeddings=True), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)


def test_encoding_leaves_the_training_mode_alone_and_is_without_dropout(model, sentences):
    model.train()
    np.testing.assert_array_equal(model.encode(sentences), model.encode(sentences))
    assert model.training
    assert not model.encode("a", convert_to_tensor=True).is_inference()


def test_prompts(model, bert):
    with_name = model.encode("won", prompt_name="query")
    np.testing.assert_array_equal(with_name, model.encode("won", prompt="the team "))
    np.testing.assert_array_equal(with_name, model.encode("the team won"))
    by_default = SentenceTransformer(bert, device="cpu", prompts=model.prompts, default_prompt_name="query")
    np.testing.assert_array_equal(by_default.encode("won"), with_name)
    np.testing.assert_array_equal(by_default.encode("won", prompt=""), model.encode("won"))
    with pytest.raises(ModelError, match="no prompt named 'passage'; this model has 'query'"):
        model.encode("won", prompt_name="passage")
    with pytest.raises(ModelError, match="default prompt 'other' is not among 'query'"):
        SentenceTransformer(bert, prompts=model.prompts, default_prompt_name="other")


def test_bad_input_is_named(model, bert):
    with pytest.raises(EmbeddingError, match=r"sentences, row 1: the text is None \(NoneType\), not a string"):
        model.encode(["a", None])
    with pytest.raises(EmbeddingError, match="batch_size must be at least 1, got 0"):
        model.encode(["a"], batch_size=0)
    with pytest.raises(ModelError, match="similarity 'cos' is not one of"):
        SentenceTransformer(bert, similarity_fn_name="cos")
    with pytest.raises(TypeError, match="no argument 'revison'"):
        SentenceTransformer(bert, revison="main")


@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean", "manhattan"])
def test_similarities_are_those_of_sentence_transformers(name, bert, sentences):
    ours = SentenceTransformer(bert, device="cpu", similarity_fn_name=name)
    theirs = Peer(str(bert), device="cpu", similarity_fn_name=name)
    x = ours.encode(sentences)
    torch.testing.assert_close(ours.similarity(x[:5], x), theirs.similarity(x[:5], x), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        ours.similarity_pairwise(x[:5], x[5:10]), theirs.similarity_pairwise(x[:5], x[5:10]), rtol=1e-4, atol=1e-4
    )
    assert ours.similarity(x[0], x).shape == (1, len(sentences))


def test_max_seq_length_can_be_set(model):
    long = "the team won the game and lost the match"
    model.max_seq_length = 5
    assert model.tokenize([long])["input_ids"].shape == (1, 5)
    np.testing.assert_array_equal(model.encode(long), model.encode("the team won"))


class _Hub(BaseHTTPRequestHandler):
    """As much of a hub as an upload needs; it keeps what it was sent."""

    received: dict[str, list] = {}  # noqa: RUF012

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        host = f"http://{self.headers['Host']}"
        if self.path.endswith("/repos/create"):
            answer = {"url": f"{host}/me/tiny", "name": "me/tiny"}
        elif "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            answer = {"files": files}
        elif self.path == "/api/validate-yaml":
            answer = {"errors": [], "warnings": []}
        else:
            lines = [json.loads(line) for line in body.splitlines()]
            self.received["files"] = [line["value"]["path"] for line in lines if line["key"] == "file"]
            answer = {"commitUrl": f"{host}/me/tiny/commit/1", "commitOid": "1", "success": True}
        payload = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def do_GET(self):
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *arguments):
        pass


def test_push_to_hub_uploads_a_whole_directory(bert, tmp_path):
    """The real client, in a process of its own (it reads its address at import), against a small server."""
    import os
    import subprocess
    import sys

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    code = (
        "import sys; from tercet import SentenceTransformer; "
        "print(SentenceTransformer(sys.argv[1], device='cpu').push_to_hub('me/tiny', token='hf_x'))"
    )
    address = f"http://127.0.0.1:{server.server_port}"
    environment = {**os.environ, "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(bert)], env=environment, capture_output=True, text=True, timeout=120
    )
    server.shutdown()
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("/me/tiny/commit/1")
    wanted = {"modules.json", "model.safetensors", "1_Pooling/config.json", "README.md", "tokenizer.json"}
    assert wanted <= set(_Hub.received["files"])
