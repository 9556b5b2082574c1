"""Measure what smaller and faster forms of an encoder keep: bfloat16, ONNX, ONNX in int8, and a static model.

    python benchmarks/serving.py --data DIR [--set banking77] [--model bundled] [--rounds 3] [--output FILE.json]

Each form embeds the training and the test sentences. MAP@R and 5 nearest neighbours: test sentences against the
training sentences; logistic regression: fitted on the training sentences. Lowest cosine: of a test sentence, to its
embedding in float32. Speed: 1,000 test sentences at once, and one sentence at a time, on `--threads` threads; the
fastest of the rounds, which alternate between the forms.

It needs `pip install '.[onnx,static]'`.
"""

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import model_folder, print_table, train_and_test

from tercet import SentenceTransformer, load_model
from tercet.evaluation import label_metrics
from tercet.evaluation.classifiers import logistic_regression
from tercet.heads import choose_head

Encode = Callable[[Sequence[str]], np.ndarray]
_BATCH = 32
_TIMED = 1_000
_SINGLE = 100


class Exported(torch.nn.Module):
    """All modules of an encoder, from token ids to the sentence embedding."""

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the embeddings `(batch, dim)` of token ids `(batch, length)`."""
        features = {"input_ids": input_ids, "attention_mask": attention_mask}
        embedding: torch.Tensor = self.model(features)["sentence_embedding"]
        return embedding


def export(folder: str, output: Path) -> tuple[Path, Path]:
    """Write `model.onnx` and `model_int8.onnx`, and return their paths."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # Two tensors: if one is passed for both, one input stands for both in the exported model.
    ids, mask = torch.ones(2, 8, dtype=torch.int64), torch.ones(2, 8, dtype=torch.int64)
    shape = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    full, int8 = output / "model.onnx", output / "model_int8.onnx"
    torch.onnx.export(
        Exported(load_model(folder, packing=False, device="cpu")).eval(), (ids, mask), full, dynamo=True,
        input_names=["input_ids", "attention_mask"], output_names=["sentence_embedding"],
        dynamic_shapes=(shape, shape), external_data=False, verbose=False,
    )  # fmt: skip
    quantize_dynamic(full, int8, weight_type=QuantType.QInt8, per_channel=True)
    return full, int8


def onnx_encoder(path: Path, folder: str, max_length: int, threads: int) -> Encode:
    """A function that embeds sentences with onnxruntime, in batches of sentences of similar length."""
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.enable_truncation(max_length)
    tokenizer.enable_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def encode(texts: Sequence[str]) -> np.ndarray:
        order = np.argsort([len(text) for text in texts], kind="stable")
        parts = []
        for start in range(0, len(order), _BATCH):
            batch = tokenizer.encode_batch([texts[row] for row in order[start : start + _BATCH]])
            feed = {
                "input_ids": np.array([row.ids for row in batch]),
                "attention_mask": np.array([row.attention_mask for row in batch]),
            }
            parts.append(session.run(None, feed)[0])
        embeddings: np.ndarray = np.concatenate(parts)[np.argsort(order)]
        return embeddings

    return encode


def static_model(folder: str, output: Path) -> Encode:
    """Distil a static model, save it, and return its function that embeds sentences."""
    from model2vec.distill import distill_from_model
    from transformers import AutoModel, AutoTokenizer

    encoder, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    model = distill_from_model(encoder, tokenizer, device="cpu")
    model.save_pretrained(output)
    return lambda texts: model.encode(list(texts))  # type: ignore[no-any-return]


def quality(train: np.ndarray, train_ids: list[int], test: np.ndarray, test_ids: list[int]) -> dict[str, float]:
    """MAP@R, and the accuracy of 5 nearest neighbours and of a logistic regression."""
    metrics = label_metrics(test, test_ids, reference_embeddings=train, reference_labels=train_ids)
    predicted = logistic_regression(torch.tensor(train), torch.tensor(train_ids), torch.tensor(test))
    logistic = float((predicted == torch.tensor(test_ids)).float().mean())
    return {"map@r": metrics["map@r"], "knn": metrics["knn_accuracy"], "logistic": logistic}


def lowest_cosine(expected: np.ndarray, found: np.ndarray) -> float | None:
    """Return the lowest cosine similarity of two embeddings of a sentence; None if their dimensions differ."""
    if expected.shape != found.shape:
        return None
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
    return float(((expected * found).sum(axis=1) / lengths).min())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--set", default="banking77")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore", category=FutureWarning)
    folder = model_folder(arguments.model)
    (train, train_ids), (test, test_ids) = train_and_test(arguments.data, arguments.set)
    model, half = load_model(folder, device="cpu"), load_model(folder, device="cpu").to(torch.bfloat16)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        weights = (Path(folder) / "model.safetensors").stat().st_size
        full, int8 = export(folder, place)
        length = model.max_seq_length
        forms: dict[str, tuple[Encode, int]] = {
            "PyTorch, float32": (model.encode, weights),
            "PyTorch, bfloat16": (half.encode, weights // 2),
            "ONNX, float32": (onnx_encoder(full, folder, length, arguments.threads), full.stat().st_size),
            "ONNX, int8": (onnx_encoder(int8, folder, length, arguments.threads), int8.stat().st_size),
        }
        static = static_model(folder, place / "static")
        forms["static"] = (static, (place / "static" / "model.safetensors").stat().st_size)
        results: dict[str, dict[str, Any]] = {}
        vectors: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for form, (encode, size) in forms.items():
            vectors[form] = encode(train), encode(test)
            found = quality(vectors[form][0], train_ids, vectors[form][1], test_ids)
            results[form] = {**found, "mb": size / 1e6, "seconds": [], "ms": []}
            results[form]["lowest_cosine"] = lowest_cosine(vectors["PyTorch, float32"][1], vectors[form][1])
        for _ in range(arguments.rounds):
            for form, (encode, _size) in forms.items():
                start = time.perf_counter()
                encode(test[:_TIMED])
                results[form]["seconds"].append(time.perf_counter() - start)
                single = []
                for text in test[:_SINGLE]:
                    start = time.perf_counter()
                    encode([text])
                    single.append(time.perf_counter() - start)
                results[form]["ms"].append(1000 * statistics.median(single))
    for form in ("PyTorch, float32", "static"):
        head = choose_head(vectors[form][0], train_ids, keys=train).head
        if head is not None:
            mapped_train, mapped_test = (head(part) for part in vectors[form])
            results[f"{form}, with a head"] = {
                **results[form],
                **quality(mapped_train, train_ids, mapped_test, test_ids),
            }
    print_table(
        [
            "form", "MB", "sentences/s", "ms for one", "lowest cosine", "MAP@R", "5 nearest neighbours",
            "logistic regression",
        ],
        [
            [
                form, f"{found['mb']:.0f}", f"{_TIMED / min(found['seconds']):,.0f}", f"{min(found['ms']):.1f}",
                "" if found["lowest_cosine"] is None else f"{found['lowest_cosine']:.5f}",
                f"{found['map@r']:.4f}", f"{found['knn']:.4f}", f"{found['logistic']:.4f}",
            ]
            for form, found in results.items()
        ],
        f"{arguments.set}, {arguments.model}, {arguments.threads} thread(s), torch {torch.__version__}",
    )  # fmt: skip
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
