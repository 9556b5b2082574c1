"""Compare `encode` with that of sentence-transformers, each with its defaults: time and peak memory.

    python benchmarks/encode.py --data DIR [--set banking77] [--sentences 10000] [--rounds 3] [--output FILE.json]

Each run is a subprocess. The libraries alternate, and the printed times are medians. By default the model is the
bundled all-MiniLM-L6-v2.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from common import alone, labelled, model_folder, peak_mib


def one(options: dict[str, Any]) -> dict[str, Any]:
    torch.set_num_threads(options["threads"])
    if options["library"] == "tercet":
        from tercet import SentenceTransformer
    else:
        from sentence_transformers import SentenceTransformer  # type: ignore[assignment]
    model = SentenceTransformer(options["model"])
    texts, _ = labelled(Path(options["data"]), options["set"])
    model.encode(texts[:64])
    texts = texts[: options["sentences"]]
    start = time.perf_counter()
    embeddings = model.encode(texts)
    return {"seconds": time.perf_counter() - start, "peak_mib": peak_mib(), "sum": float(embeddings[:100].sum())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--set", default="banking77")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--sentences", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(json.loads(arguments.one))))
        return
    options = {
        "data": str(arguments.data), "set": arguments.set, "model": model_folder(arguments.model),
        "sentences": arguments.sentences, "threads": arguments.threads,
    }  # fmt: skip
    runs: dict[str, list[dict[str, Any]]] = {"tercet": [], "peer": []}
    for _ in range(arguments.rounds):
        for library in runs:
            runs[library].append(alone(__file__, options | {"library": library}))
    seconds, peaks = (
        {name: statistics.median(run[key] for run in group) for name, group in runs.items()}
        for key in ("seconds", "peak_mib")
    )
    ratios = [theirs["seconds"] / ours["seconds"] for ours, theirs in zip(*runs.values(), strict=True)]
    print(f"{arguments.sentences:,} sentences of {arguments.set}, torch {torch.__version__}")
    print(f"  {seconds['tercet']:.1f} s against {seconds['peer']:.1f} s: × {statistics.median(ratios):.2f} by pairs")
    print(f"  peak {peaks['tercet']:.0f} MiB against {peaks['peer']:.0f}: × {peaks['tercet'] / peaks['peer']:.2f}")
    if arguments.output:
        arguments.output.write_text(json.dumps({"seconds": seconds, "peak_mib": peaks, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
