"""Compare `encode` with that of sentence-transformers, each with its defaults: time and peak memory.

    python benchmarks/encode.py --data DIR [--set banking77] [--sentences 10000] [--rounds 3] [--output FILE.json]

Each run is a subprocess. The libraries alternate, and the printed times are medians. By default the model is the
bundled all-MiniLM-L6-v2. `--bf16` adds ours in bfloat16, and prints MAP@R of the sentences among each other.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from common import alone, labelled, model_folder, peak_mib

from tercet.evaluation.retrieval import rank_queries


def one(options: dict[str, Any]) -> dict[str, Any]:
    torch.set_num_threads(options["threads"])
    if options["library"] != "peer":
        from tercet import SentenceTransformer
    else:
        from sentence_transformers import SentenceTransformer  # type: ignore[assignment]
    model = SentenceTransformer(options["model"])
    if options["library"] == "bf16":
        model = model.to(torch.bfloat16)
    texts, labels = labelled(Path(options["data"]), options["set"])
    model.encode(texts[:64])
    # Evenly spaced, because a file may be sorted by label.
    chosen = slice(None, None, max(1, len(texts) // options["sentences"]))
    texts, labels = texts[chosen], labels[chosen]
    start = time.perf_counter()
    embeddings = model.encode(texts)
    found = {"seconds": time.perf_counter() - start, "peak_mib": peak_mib(), "sum": float(embeddings[:100].sum())}
    ranked = rank_queries(torch.as_tensor(embeddings), torch.tensor(labels))
    return {**found, "sentences": len(texts), "map@r": float(ranked.average_precision.mean())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--set", default="banking77")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--sentences", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bf16", action="store_true", help="measure ours in bfloat16, too")
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
    libraries = ["tercet", *(["bf16"] if arguments.bf16 else []), "peer"]
    runs: dict[str, list[dict[str, Any]]] = {library: [] for library in libraries}
    for _ in range(arguments.rounds):
        for library in runs:
            runs[library].append(alone(__file__, options | {"library": library}))
    seconds, peaks = (
        {name: statistics.median(run[key] for run in group) for name, group in runs.items()}
        for key in ("seconds", "peak_mib")
    )
    print(f"{runs['peer'][0]['sentences']:,} sentences of {arguments.set}, torch {torch.__version__}")
    for library in libraries[:-1]:
        pairs = zip(runs[library], runs["peer"], strict=True)
        ratio = statistics.median(theirs["seconds"] / ours["seconds"] for ours, theirs in pairs)
        print(f"{library}: {seconds[library]:.1f} s against {seconds['peer']:.1f} s: × {ratio:.2f} by pairs")
        print(f"  peak {peaks[library]:.0f} MiB against {peaks['peer']:.0f}: × {peaks[library] / peaks['peer']:.2f}")
        print(f"  MAP@R {runs[library][0]['map@r']:.4f} against {runs['peer'][0]['map@r']:.4f}")
    if arguments.output:
        arguments.output.write_text(json.dumps({"seconds": seconds, "peak_mib": peaks, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
