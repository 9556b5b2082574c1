"""The report of sentences with several labels: neighbours that share a label, and recall of each label."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from tercet.records import PairedDifference, SeveralLabelsGain, SeveralLabelsScores
from tercet.report.neighbours import find_neighbourhood, hardest_triplets, recall_per_shared_label, shared_labels
from tercet.report.run_report import write_run_report
from tests.report.helpers import LOG, RECORD, evaluated

NAMES = ["a", "a;b", "b", "c", "c;d"]
SETS = [[0], [0, 1], [1], [2], [2, 3]]


def test_neighbours_and_recall_equal_loops():
    x, ids = torch.randn(40, 3), np.array(random.Random(0).choices(range(5), k=40))
    found = find_neighbourhood(x, shared_labels(ids, SETS), "euclidean", block_bytes=2000)
    d = torch.cdist(x, x).numpy()
    np.fill_diagonal(d, np.inf)
    shares = np.array([[bool(set(SETS[a]) & set(SETS[b])) for b in ids] for a in ids])
    assert found.nearest.tolist() == d.argmin(1).tolist()
    assert found.negative.tolist() == np.where(shares, np.inf, d).argmin(1).tolist()
    farthest = np.where(shares & np.isfinite(d), d, -np.inf)
    assert found.positive.tolist() == farthest.argmax(1).tolist()
    assert hardest_triplets(found, 1)[0].gap == pytest.approx(
        (farthest.max(1) - np.where(shares, np.inf, d).min(1)).max(), rel=1e-4
    )
    of_rows = [SETS[label] for label in ids.tolist()]
    for label in recall_per_shared_label(found, of_rows):
        rows = [row for row, labels in enumerate(of_rows) if label.label_id in labels]
        hits = [label.label_id in of_rows[found.nearest[row]] for row in rows]
        assert (label.sentences, label.recall) == (len(rows), np.mean(hits))


@pytest.mark.slow
def test_the_page_shows_single_labels_and_no_map(tmp_path):
    data = replace(evaluated([f"text {row}" for row in range(30)], NAMES * 6), multi_label=";")
    evaluation = {"against_reference": next(iter(RECORD.evaluation.values()))}
    record = replace(RECORD, settings={**RECORD.settings, "multi_label": ";"}, evaluation=evaluation)
    write_run_report(tmp_path / "r.html", record, LOG, data)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Recall per label" in page
    assert "All 4 labels" in page
    assert "The hardest triplets at the end" in page
    assert "Confused labels" not in page
    assert "rows have several labels" in page
    scores = SeveralLabelsScores(map_at_r=0.4, logistic_map_at_r=0.65432, f1=0.7, micro_f1=0.8, macro_f1=0.6)
    change = PairedDifference(difference=0.1, low=-0.01, high=0.2)
    gain = SeveralLabelsGain(
        rows=30, labels=4, most_frequent_f1=0.1, untouched=scores, trained=scores, f1=change, map_at_r=change,
        outcome="no difference", sentence="To search, training made no difference.",
    )  # fmt: skip
    write_run_report(tmp_path / "gain.html", replace(record, gain=gain), LOG, data)
    page = (tmp_path / "gain.html").read_text(encoding="utf-8")
    for words in (gain.sentence, gain.note, "MAP@R, probabilities", "0.654"):
        assert words in page
