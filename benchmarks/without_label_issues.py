"""MAP@R after one epoch with and without the label issues, on the original labels and with 5 % of them changed.

    python benchmarks/without_label_issues.py --data DIR [--sets banking77 clinc150 hwu64] [--output FILE.json]

DIR has a folder for each data set with train.csv and test.csv (columns text, label). Labels are changed as in
label_issues.py, to any other label. Either all label issues are left out, or the first ones, as many as labels were
changed. One epoch with the defaults of the command line, one seed. FILE is written after each run, and runs that it
already has are not repeated.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from common import labelled
from label_issues import change_labels
from trained import embed, map_at_r

from tercet.inspection.label_issues import score_texts
from tercet.runs.settings import RunSettings

FRACTION = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["banking77", "clinc150", "hwu64"])
    parser.add_argument("--cache", type=Path, help="Store the embeddings in this folder, and read them from there.")
    parser.add_argument("--output", type=Path, default=Path("without-label-issues.json"))
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
            ("5 % changed", change_labels(np.array(label_ids), FRACTION, seed=0)),
        ):
            issues = score_texts(texts, given, embeddings).ranked().numpy()
            for left_out, rows in (
                ("nothing", issues[:0]),
                ("the first 5 %", issues[: round(FRACTION * len(label_ids))]),
                ("all label issues", issues),
            ):
                key = f"{kind}, {left_out}"
                if key not in found:
                    kept = np.setdiff1d(np.arange(len(texts)), rows)
                    train = [texts[row] for row in kept], given[kept].tolist()
                    found[key] = {"sentences": len(kept), "map@r": map_at_r(train, test, RunSettings())}
                    arguments.output.write_text(json.dumps(results, indent=2))
                sentences, score = found[key].values()
                print(f"| {name} | {kind} | {left_out} | {sentences:,} | {score:.4f} |", flush=True)


if __name__ == "__main__":
    main()
