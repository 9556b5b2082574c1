"""Find planted wrong labels: their fraction among as many label issues as labels were changed.

    python benchmarks/label_issues.py --data DIR [--set banking77 clinc150] [--output FILE.json]

DIR has a folder for each data set with train.csv (columns text, label). 5 % of the labels are changed, to any other
label or to one of the three with the nearest centroids. The baseline is a vote of the 10 nearest sentences by cosine
similarity: the votes for the most frequent label minus those for the given label. The encoder is the packaged
all-MiniLM-L6-v2. Labels that are wrong in the original data count as errors of both methods.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from common import labelled
from torch.nn import functional as F
from trained import embed

from tercet.inspection.label_issues import score_texts

_NUM_NEAR = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", nargs="+", default=["banking77", "clinc150", "hwu64"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--fraction", type=float, default=0.05)
    parser.add_argument("--cache", type=Path, help="Store the embeddings in this folder, and read them from there.")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    results = []
    print("data set    changed to   plain    ours   by seed (plain → ours)   seconds")
    for name in arguments.set:
        texts, label_ids = labelled(arguments.data, name)
        embeddings = embed(name, texts, arguments.cache)
        for near in (False, True):
            runs = [_run(texts, embeddings, np.array(label_ids), near, arguments.fraction, s) for s in arguments.seeds]
            plain, ours, seconds = (float(np.mean([run[key] for run in runs])) for key in ("plain", "ours", "seconds"))
            each = ", ".join(f"{run['plain']:.1%} → {run['ours']:.1%}" for run in runs)
            kind = "near" if near else "any"
            print(f"{name:12}{kind:11}{plain:6.1%}  {ours:6.1%}   {each}   {seconds:.0f}", flush=True)
            results.append({"set": name, "changed_to": kind, "plain": plain, "ours": ours, "runs": runs})
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=2))


def _run(texts, embeddings, label_ids, near: bool, fraction: float, seed: int) -> dict[str, float]:
    given = change_labels(label_ids, fraction, seed, embeddings if near else None)
    changed = given != label_ids
    plain = _found(_plain_votes(embeddings, torch.from_numpy(given)), changed)
    start = time.perf_counter()
    log_odds = score_texts(texts, given, embeddings, seed=seed).log_odds
    seconds = time.perf_counter() - start
    return {"plain": plain, "ours": _found(log_odds.nan_to_num(-np.inf), changed), "seconds": seconds}


def change_labels(label_ids: np.ndarray, fraction: float, seed: int, near: torch.Tensor | None = None) -> np.ndarray:
    """Change a fraction of the labels: to any other one or, given embeddings `near`, to one with a near centroid."""
    rng = np.random.default_rng(seed)
    labels = label_ids.max() + 1
    rows = rng.choice(len(label_ids), round(fraction * len(label_ids)), replace=False)
    given = label_ids.copy()
    if near is None:
        given[rows] = (label_ids[rows] + rng.integers(1, labels, len(rows))) % labels
        return given
    centroids = F.normalize(torch.stack([near[torch.from_numpy(label_ids == c)].mean(0) for c in range(labels)]))
    similarity = (centroids @ centroids.T).fill_diagonal_(-2)
    given[rows] = similarity.topk(_NUM_NEAR).indices.numpy()[label_ids[rows], rng.integers(0, _NUM_NEAR, len(rows))]
    return given


def _plain_votes(embeddings: torch.Tensor, label_ids: torch.Tensor, neighbours: int = 10) -> torch.Tensor:
    scores = []
    for rows in torch.arange(len(label_ids)).split(1024):
        similarity = embeddings[rows] @ embeddings.T
        similarity[torch.arange(len(rows)), rows] = -2
        found = label_ids[similarity.topk(neighbours).indices]
        votes = torch.zeros(len(rows), int(label_ids.max()) + 1).scatter_add_(1, found, torch.ones(found.shape))
        own = label_ids[rows].unsqueeze(1)
        scores.append(votes.scatter(1, own, -1).amax(1) - votes.gather(1, own).squeeze(1))
    return torch.cat(scores)


def _found(score: torch.Tensor, changed: np.ndarray) -> float:
    """Return the fraction of changed labels among as many rows with the highest scores."""
    return float(changed[score.argsort(descending=True, stable=True)[: changed.sum()].numpy()].mean())


if __name__ == "__main__":
    main()
