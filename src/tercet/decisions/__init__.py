"""Turn embeddings into decisions: classify sentences, say how sure that is, and say "none of these".

The public classes:

classifier.py        LabelClassifier, a scikit-learn classifier of sentences; it is fitted, saved and loaded here
answering.py         its base class that answers; fitted_classifier.py has the state
results.py           Decisions, what it answers
promise.py           Promise, what a threshold of the confidence gives; thresholds.py chooses it
judged_decisions.py  JudgedDecisions, how right the decisions about labelled rows are

What the classifier is made of, in the order of its work:

fit_arguments.py     check all arguments of `fit`, then embed them
inputs.py            check and embed what the user passes
spaces.py            the embeddings that classifiers work on: before and after the head of the encoder
training_rows.py     check labels and rows, and put them in a fixed order
seen.py              on which of the sentences the encoder was trained
calibration_data.py  rows that the encoder has not seen
candidates.py        the classifiers to choose from; models.py has the fitted ones
predictions.py       what they predict for rows that they were not fitted to
choice.py            choose among them by these predictions
fitting.py           fit the chosen one, and add rows to it; updates.py refits single labels
fit_time.py          how long that will take
calibration.py       make its probabilities honest
novelty.py           how unlike the training sentences a sentence is; unknown.py tunes its limit
deciding.py          decide about sentences: rejection.py applies the limits, back_off.py answers with a parent
drift.py             detect new sentences that are unlike the training sentences
judging.py           compare decisions with labels; curves.py draws precision by coverage
storage.py           write and read a classifier; validation.py checks what was read, encoder_check.py the encoder
summary.py           describe it for the command line and for records; limit_values.py checks limits without torch
"""

from typing import TYPE_CHECKING

from tercet._lazy import lazy_names

if TYPE_CHECKING:
    from tercet.decisions.classifier import LabelClassifier
    from tercet.decisions.judged_decisions import JudgedDecisions
    from tercet.decisions.promise import Promise
    from tercet.decisions.results import Decisions

__all__ = ["Decisions", "JudgedDecisions", "LabelClassifier", "Promise"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "classifier": ("LabelClassifier",),
        "judged_decisions": ("JudgedDecisions",),
        "promise": ("Promise",),
        "results": ("Decisions",),
    },
)
