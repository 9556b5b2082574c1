"""Turn embeddings into decisions: classify sentences, say how sure that is, and say "none of these".

classifier     LabelClassifier, a scikit-learn classifier of sentences
results        Decisions, what it answers
thresholds     Promise, what a threshold of the confidence gives
judged         JudgedDecisions, how right the decisions about labelled rows are
"""

from typing import TYPE_CHECKING

from tercet._lazy import lazy_names

if TYPE_CHECKING:
    from tercet.decisions.classifier import LabelClassifier
    from tercet.decisions.judged import JudgedDecisions
    from tercet.decisions.results import Decisions
    from tercet.decisions.thresholds import Promise

__all__ = ["Decisions", "JudgedDecisions", "LabelClassifier", "Promise"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "classifier": ("LabelClassifier",),
        "judged": ("JudgedDecisions",),
        "results": ("Decisions",),
        "thresholds": ("Promise",),
    },
)
