"""Write the section of a report on the sentences that a classifier rejects: how many, why, and examples."""

from collections.abc import Sequence

import numpy as np

from tercet.decisions.curves import pairs_in_doubt, rejected_by_reason
from tercet.decisions.drift import UNFAMILIAR_NOVELTY
from tercet.decisions.judged_decisions import JudgedDecisions
from tercet.decisions.results import BETWEEN_LABELS, UNLIKE_ANYTHING
from tercet.report.page import Part
from tercet.report.page_table import Table

_MAX_PAIRS = 15
_EXAMPLES_OF_A_PAIR = 2
_MAX_EXAMPLES = 15


def rejected_parts(judged: JudgedDecisions, sentences: Sequence[str]) -> list[Part]:
    """Return the parts of the section: the reasons, pairs of labels in doubt, and the most novel sentences.

    Args:
        judged: the decisions about n labelled rows.
        sentences: the sentence of each row with its label, as the page shows it.
    """
    rejected = np.flatnonzero(~judged.answered)
    if not len(rejected):
        return ["No row is rejected."]
    rows = [
        [
            part.reason,
            f"{part.rows:,}",
            f"{part.rows / len(judged):.1%}",
            f"{part.right:,} ({part.right / part.rows:.1%})",
        ]
        for part in rejected_by_reason(judged.reasons, judged.correct)
    ]
    promise = judged.limits.promise
    novel = int((judged.novelty[rejected] > UNFAMILIAR_NOVELTY).sum())
    limit = (
        ""
        if promise is not None and promise.max_novelty is not None
        else " No limit of the novelty was set (max_novelty), so no sentence is rejected for this reason."
    )
    return [
        f"“{BETWEEN_LABELS}”: the confidence is below the threshold. “{UNLIKE_ANYTHING}”: the novelty is above its "
        f"limit.{limit} {novel:,} of the {len(rejected):,} rejected sentences have a novelty above "
        f"{UNFAMILIAR_NOVELTY}: only {1 - UNFAMILIAR_NOVELTY:.0%} of sentences like the training data have.",
        Table(
            "Rejected sentences by reason",
            ["reason", "sentences", "of all", "likeliest label is right"],
            rows,
            frozenset({1, 2, 3}),
        ),
        *_pairs(judged, sentences),
        *_novel(judged, sentences),
    ]


def _pairs(judged: JudgedDecisions, sentences: Sequence[str]) -> list[Part]:
    doubtful = np.flatnonzero([reason is not None and BETWEEN_LABELS in reason for reason in judged.reasons])
    pairs = pairs_in_doubt(judged.predicted_ids[doubtful], judged.runner_up_ids[doubtful])
    rows = []
    for (a, b), found in pairs[:_MAX_PAIRS]:
        for at, row in enumerate(doubtful[found[:_EXAMPLES_OF_A_PAIR]].tolist()):
            pair = [f"{judged.label_names[a]} / {judged.label_names[b]}", f"{len(found):,}"] if at == 0 else ["", ""]
            likeliest = judged.label_names[judged.predicted_ids[row]]
            rows.append([*pair, sentences[row], likeliest, f"{judged.confidence[row]:.3f}"])
    if not rows:
        return []
    caption = f"Between which labels: the {min(_MAX_PAIRS, len(pairs))} most frequent of {len(pairs):,} pairs"
    columns = ["likeliest two labels", "sentences", "sentence [given label]", "likeliest", "confidence"]
    return [Table(caption, columns, rows, frozenset({1, 4}))]


def _novel(judged: JudgedDecisions, sentences: Sequence[str]) -> list[Part]:
    novel = np.flatnonzero([reason is not None and UNLIKE_ANYTHING in reason for reason in judged.reasons])
    order = novel[np.argsort(-judged.novelty[novel], kind="stable")][:_MAX_EXAMPLES]
    if not len(order):
        return []
    rows = [
        [
            sentences[row],
            judged.label_names[judged.predicted_ids[row]],
            f"{judged.confidence[row]:.3f}",
            f"{judged.novelty[row]:.3f}",
        ]
        for row in order.tolist()
    ]
    caption = f"The {len(rows)} most novel of {len(novel):,} sentences that are unlike anything seen"
    return [Table(caption, ["sentence [given label]", "likeliest", "confidence", "novelty"], rows, frozenset({2, 3}))]
