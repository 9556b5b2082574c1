"""Is the suggested margin a good one? MAP@R after one epoch at eight margins, beside the margin `tercet inspect` takes.

    python benchmarks/margins.py --data DIR [--sets banking77 clinc150 hwu64] [--losses batch-semi-hard batch-hard]
                                 [--output FILE.json]

DIR holds a folder a data set with train.csv and test.csv (columns text, label). The encoder is the packaged
all-MiniLM-L6-v2; 16 × 4 batches, euclidean, learning rate 5e-5, 10 % warm-up, one seed. FILE is written after each
run, and runs that stand in it are not repeated.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from common import labelled, model_folder
from trained import map_at_r

from tercet import SentenceTransformer
from tercet.inspection.batches import batch_facts, suggestions
from tercet.runs.settings import RunSettings

MARGINS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["banking77", "clinc150", "hwu64"])
    parser.add_argument("--losses", nargs="+", default=["batch-semi-hard", "batch-hard"])
    parser.add_argument("--output", type=Path, default=Path("margins.json"))
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    for name in arguments.sets:
        train, test = (labelled(arguments.data, name, part) for part in ("train", "test"))
        found = results.setdefault(name, {})
        if "suggested" not in found:
            found["suggested"] = _suggested(*train)
        for loss in arguments.losses:
            scores = found.setdefault(loss, {})
            for margin in MARGINS:
                if str(margin) not in scores:
                    scores[str(margin)] = map_at_r(train, test, RunSettings(loss=loss, margin=margin))
                    arguments.output.write_text(json.dumps(results, indent=2))
            print(_line(name, loss, scores, found["suggested"]), flush=True)


def _suggested(texts: list[str], label_ids: list[int]) -> float:
    embeddings = SentenceTransformer(model_folder("bundled"), device="cpu").encode(texts, convert_to_tensor=True)
    facts = batch_facts(embeddings, np.array(label_ids), 64, 4)
    (margin,) = (s.value for s in suggestions(facts, embeddings, np.array(label_ids)) if s.option == "--margin")
    return margin


def _line(name: str, loss: str, scores: dict[str, float], suggested: float) -> str:
    best = max(scores.values())
    cells = (f"**{s:.4f}**" if float(m) == suggested else f"{s:.4f}" for m, s in scores.items())
    return f"| {name} | {loss} | {' | '.join(cells)} | {best - scores[str(suggested)]:.4f} |"


if __name__ == "__main__":
    main()
