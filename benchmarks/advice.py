"""Check the usual advice on triplet losses by measuring: four losses, three data sets, three seeds.

    python benchmarks/advice.py --data DIR [--on head|encoder] [--sets banking77 clinc150 hwu64] [--seeds 0 1 2]
        [--cache FOLDER] [--output FILE.json]

Does hard mining over-fit, and is the soft margin more stable? Who tolerates wrong labels, who is fast, who needs many
rows? Does it depend on the distance, or on vectors of length 1? `--on head` trains a linear head on embeddings that are
computed once, a second per run. `--on encoder` trains the complete encoder, minutes per run.

DIR has a folder for each data set with train.csv and test.csv (columns text, label). The encoder is the bundled
all-MiniLM-L6-v2, a batch 32 labels × 4 sentences (16 × 4 for the encoder), the margin 0.3, nothing is tuned for a loss.
MAP@R is that of 1,000 sentences, ranked against the training sentences with their correct labels. FILE is written after
each run, and runs that it has are not repeated.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import SETS, Results, few_rows, mean_and_std, print_table, train_and_test
from curves import Training, train_encoder, train_head
from label_issues import change_labels
from trained import embed

LOSSES = {
    "batch-semi-hard": "semi-hard",
    "batch-hard": "hard",
    "batch-hard-soft-margin": "hard, soft margin",
    "batch-all": "all",
}
WRONG = (0.0, 0.05, 0.2)
PER_LABEL = (5, 10, 50, None)
SPACES = {"euclidean": "Euclidean", "cosine": "cosine", "free": "Euclidean, no Normalize"}
STEPS = (20, 60, 200)
_MEASURED = 1_000


@dataclass(frozen=True)
class Case:
    """One run: what is trained on what. `per_label` None means all rows, `space` is a key of `SPACES`."""

    set: str
    loss: str
    seed: int
    wrong: float = 0.0
    per_label: int | None = None
    space: str = "euclidean"

    def key(self, on: str) -> str:
        """Return the key in the file of results."""
        return " ".join([on, *(f"{name}={value}" for name, value in asdict(self).items())])


def cases(sets: Sequence[str], seeds: Sequence[int]) -> Iterator[Case]:
    """Yield each run once; all rows with correct labels and unit vectors are the basis of every table."""
    for name in sets:
        for seed in seeds:
            for loss in LOSSES:
                base = Case(name, loss, seed)
                yield base
                yield from (replace(base, wrong=wrong) for wrong in WRONG if wrong)
                yield from (replace(base, per_label=rows) for rows in PER_LABEL if rows)
                yield from (replace(base, space=space) for space in SPACES if space != "euclidean")


class Measure:
    """Runs cases on one data set, whose embeddings by the untouched encoder are computed once."""

    def __init__(self, data: Path, name: str, on: str, cache: Path | None) -> None:
        self.train, test = train_and_test(data, name)
        measured = np.random.default_rng(0).permutation(len(test[0]))[:_MEASURED]
        self.queries = [test[0][row] for row in measured]
        self.query_labels = np.array(test[1])[measured]
        self.embeddings = None
        if on == "head":
            self.embeddings = (
                embed(f"{name}-train", self.train[0], cache),
                embed(f"{name}-test", test[0], cache)[measured],
            )

    def __call__(self, case: Case) -> dict[str, Any]:
        """Return MAP@R of a case, of training sentences too, and its curve."""
        labels = np.array(self.train[1])
        rows = few_rows(labels, case.per_label, case.seed)
        correct = labels[rows]
        given = change_labels(correct, case.wrong, case.seed)
        training = Training(
            loss=case.loss, seed=case.seed, steps=STEPS, normalize=case.space != "free",
            distance="cosine" if case.space == "cosine" else "euclidean",
        )  # fmt: skip
        if self.embeddings is not None:
            reference, queries = self.embeddings
            return train_head(training, reference[rows], given, correct, queries, self.query_labels)
        texts = [self.train[0][row] for row in rows]
        return train_encoder(training, texts, given, correct, self.queries, self.query_labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--on", choices=["head", "encoder"], default="head")
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cache", type=Path, help="Store the embeddings in this folder, and read them from there.")
    parser.add_argument("--output", type=Path, default=Path("advice.json"))
    arguments = parser.parse_args()
    results, measures = Results(arguments.output), {}
    found: dict[Case, dict[str, Any]] = {}
    for case in cases(arguments.sets, arguments.seeds):

        def run(case: Case = case) -> dict[str, Any]:
            if case.set not in measures:
                measures[case.set] = Measure(arguments.data, case.set, arguments.on, arguments.cache)
            return measures[case.set](case)

        found[case] = results.get(case.key(arguments.on), run)
    print_tables(found, arguments.sets, arguments.seeds)


def print_tables(found: dict[Case, dict[str, Any]], sets: Sequence[str], seeds: Sequence[int]) -> None:
    """Print a table for each question. A cell is the mean over the seeds and the standard deviation."""

    def column(value: Callable[[dict[str, Any]], float], digits: int = 3, **changes: Any) -> Callable[[Case], str]:
        """Return the function that makes a cell of a column from the case of its row."""
        return lambda case: mean_and_std((value(found[replace(case, seed=seed, **changes)]) for seed in seeds), digits)

    def table(title: str, columns: dict[str, Callable[[Case], str]]) -> None:
        rows = (
            [name, LOSSES[loss], *(make(Case(name, loss, seeds[0])) for make in columns.values())]
            for name in sets
            for loss in LOSSES
        )
        print_table(["data", "loss", *columns], rows, title)

    by_rows = {f"{number} per label" if number else "all": number for number in PER_LABEL}
    table(
        "MAP@R of training sentences − MAP@R of held-out sentences",
        {title: column(_gap, per_label=number) for title, number in by_rows.items()},
    )
    table(
        "MAP@R of held-out sentences by the number of rows",
        {title: column(_held_out, per_label=number) for title, number in by_rows.items()},
    )
    table(
        "MAP@R after a number of steps of the same schedule, and seconds of training",
        {
            **{f"{step} steps": column(lambda result, step=str(step): result["curve"][step][0]) for step in STEPS},
            "seconds": column(lambda result: result["curve"][str(STEPS[-1])][1], 1),
        },
    )
    table("MAP@R with wrong labels", {f"{wrong:.0%} wrong": column(_held_out, wrong=wrong) for wrong in WRONG})
    table("MAP@R by space", {title: column(_held_out, space=space) for space, title in SPACES.items()})


def _held_out(result: dict[str, Any]) -> float:
    value: float = result["map@r"]
    return value


def _gap(result: dict[str, Any]) -> float:
    value: float = result["map@r_training"] - result["map@r"]
    return value


if __name__ == "__main__":
    main()
