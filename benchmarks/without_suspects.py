"""Does it help to leave suspects out? Test MAP@R after one epoch with and without them, clean and with 5 % changed.

    python benchmarks/without_suspects.py --data DIR [--sets banking77 clinc150 hwu64] [--output FILE.json]

DIR holds a folder a data set with train.csv and test.csv (columns text, label). Labels are changed as in suspects.py,
to any other. Left out are all sentences whose label is disputed, or as many of the first of them as labels were
changed. One epoch with the command line's defaults, one seed. FILE is written after each run, and runs that stand in
it are not repeated.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import labelled
from suspects import change_labels, embed
from trained import map_at_r

from tercet.inspection.label_issues.folds import deal_folds
from tercet.inspection.label_issues.score import FOLDS, score_labels
from tercet.inspection.texts import text_keys
from tercet.runs.settings import RunSettings

SHARE = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["banking77", "clinc150", "hwu64"])
    parser.add_argument("--cache", type=Path, help="Keep embeddings in this folder.")
    parser.add_argument("--output", type=Path, default=Path("without-suspects.json"))
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    print("| data set | labels | left out | sentences | MAP@R |\n|---|---|---|---|---|")
    for name in arguments.sets:
        texts, label_ids = labelled(arguments.data, name)
        test = labelled(arguments.data, name, "test")
        embeddings = embed(name, texts, arguments.cache)
        found = results.setdefault(name, {})
        for kind, given in (
            ("as they are", np.array(label_ids)),
            ("5 % changed", change_labels(np.array(label_ids), SHARE, seed=0)),
        ):
            suspects = _suspects(texts, embeddings, given)
            for left_out, rows in (
                ("nothing", suspects[:0]),
                ("the first 5 %", suspects[: round(SHARE * len(label_ids))]),
                ("all disputed", suspects),
            ):
                key = f"{kind}, {left_out}"
                if key not in found:
                    kept = np.setdiff1d(np.arange(len(texts)), rows)
                    train = [texts[row] for row in kept], given[kept].tolist()
                    found[key] = {"sentences": len(kept), "map@r": map_at_r(train, test, RunSettings())}
                    arguments.output.write_text(json.dumps(results, indent=2))
                sentences, score = found[key].values()
                print(f"| {name} | {kind} | {left_out} | {sentences:,} | {score:.4f} |", flush=True)


def _suspects(texts: list[str], embeddings: torch.Tensor, label_ids: np.ndarray) -> np.ndarray:
    folds = torch.from_numpy(deal_folds(text_keys(texts), label_ids, FOLDS))
    return score_labels(embeddings, torch.from_numpy(label_ids), folds).ranked().numpy()


if __name__ == "__main__":
    main()
