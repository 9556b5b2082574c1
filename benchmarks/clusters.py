"""Cluster test sentences with HDBSCAN and k-means, and compare the clusters with the labels.

    python benchmarks/clusters.py --data DIR [--set banking77] [--model bundled] [--output FILE.json]

"In a cluster" is the fraction of sentences that HDBSCAN puts into one. Purity is the fraction of these whose label is
the most frequent one of their cluster; NMI is the normalized mutual information of labels and clusters, over the same
sentences.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from common import labelled, print_table
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.metrics import normalized_mutual_info_score

from tercet import load_model


def compare(labels: np.ndarray, clusters: np.ndarray) -> dict[str, Any]:
    """The number of clusters, the fraction of sentences in one, purity and NMI."""
    kept = clusters >= 0
    pairs = Counter(zip(clusters[kept].tolist(), labels[kept].tolist(), strict=True))
    largest: dict[int, int] = {}
    for (cluster, _), count in pairs.items():
        largest[cluster] = max(count, largest.get(cluster, 0))
    return {
        "clusters": len(largest),
        "in_cluster": float(kept.mean()),
        # Without clusters, both are 0.
        "purity": sum(largest.values()) / max(1, int(kept.sum())),
        "nmi": float(normalized_mutual_info_score(labels[kept], clusters[kept])) if kept.any() else 0.0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--set", default="banking77")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    texts, label_ids = labelled(arguments.data, arguments.set, "test")
    labels = np.array(label_ids)
    embeddings = load_model(arguments.model, device="cpu").encode(texts, normalize_embeddings=True)
    methods: dict[str, Any] = {
        f"HDBSCAN, min_cluster_size={size}, min_samples={samples}": HDBSCAN(
            min_cluster_size=size, min_samples=samples, copy=True
        )
        for size, samples in ((5, 1), (10, 1), (10, 3), (10, None), (20, 1))
    }
    number = len(set(label_ids))
    methods[f"KMeans, n_clusters={number}"] = KMeans(n_clusters=number, n_init=3, random_state=0)
    results = {}
    for name, method in methods.items():
        start = time.perf_counter()
        clusters = method.fit_predict(embeddings)
        results[name] = {**compare(labels, clusters), "seconds": time.perf_counter() - start}
    print_table(
        ["method", "clusters", "in a cluster", "purity", "NMI", "seconds"],
        [
            [
                name, found["clusters"], f"{found['in_cluster']:.2f}", f"{found['purity']:.2f}",
                f"{found['nmi']:.2f}", f"{found['seconds']:.1f}",
            ]
            for name, found in results.items()
        ],
        f"{len(texts):,} test sentences of {arguments.set}, {number} labels, {arguments.model}",
    )  # fmt: skip
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
