"""Every row of the quality tables: untouched, head alone, default run, ten epochs; few sentences; foreign vectors.

    python benchmarks/quality.py --data DIR [--mpnet FOLDER] [--sets banking77 clinc150 hwu64] [--seeds 0 1 2]
        [--tables full few vectors] [--few 5 10 all] [--modes …] [--bf16] [--models DIR] [--output FILE.json]

DIR has a folder for each data set with train.csv and test.csv (columns text, label). The encoder is the bundled
all-MiniLM-L6-v2, and with --mpnet the all-mpnet-base-v2 in that folder. The test sentences are ranked and classified
by the training sentences. The test file chooses nothing: the settings are those of `tercet train`, and the classifier
(nearest neighbours or class means) is chosen by cross-validation over the training rows.

Each run is one `tercet train` in its own process, timed from its start to its end with both evaluations. Before
it, one epoch of sentence-transformers is timed in the same way. FILE is written after each run, and runs that it has
are not repeated, so the benchmark can be stopped at any time and its tables chosen one by one.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from command import train_and_measure
from common import HERE, SETS, Results, alone, mean_and_std, model_folder, print_table

# The options of `tercet train` for each row of the tables; None trains nothing.
MODES: dict[str, list[str] | None] = {
    "untouched": None,
    "head": ["--train", "head"],
    "encoder": ["--train", "encoder"],
    "both": ["--train", "both"],
    "auto": [],
    "random labels": ["--neighbor-labels", "0"],
    "1 epoch": ["--train", "both", "--epochs", "1"],
    "10 epochs": ["--epochs", "10"],
}
# The classifiers of the block "was it worth it?".
CLASSIFIERS = ("nearest_neighbours", "class_means", "logistic_regression")
FULL = ("untouched", "head", "1 epoch", "auto", "10 epochs")
FEW = ("untouched", "head", "encoder", "both", "auto")
# `auto` may be this far below the best, in accuracy and in MAP@R, beyond the interval.
ALLOWED = {"accuracy": 0.005, "map@r": 0.01}


@dataclass(frozen=True)
class Case:
    """One run; `per_label` None means all training rows."""

    encoder: str
    set: str
    mode: str
    seed: int
    per_label: int | None = None

    @property
    def key(self) -> str:
        """The key in the file of results."""
        return f"{self.encoder} {self.set} {self.per_label or 'all'} {self.mode} seed {self.seed}"


class Bench:
    """Runs cases, or takes them from the file of results."""

    def __init__(
        self, data: Path, encoders: dict[str, str], threads: int, output: Path, models: Path | None = None,
        *, bf16: bool = False,
    ) -> None:  # fmt: skip
        self.data, self.encoders, self.threads, self.models, self.bf16 = data, encoders, threads, models, bf16
        self.results = Results(output)

    def run(self, case: Case) -> dict[str, Any]:
        """Return scores and seconds of a case."""
        # Nothing that is drawn by a seed is in the untouched encoder on all rows.
        if case.mode == "untouched" and case.per_label is None:
            case = replace(case, seed=0)
        in_bf16 = " bf16" if self.bf16 and case.mode != "untouched" else ""
        return self.results.get(case.key + in_bf16, lambda: self._run(case))

    def peer(self, encoder: str, name: str, seed: int) -> float:
        """Return the seconds of one epoch of sentence-transformers, from the start of its process."""
        options = {**self._options(Case(encoder, name, "peer", seed)), "peer": "sentence-transformers"}
        key = f"{encoder} {name} one epoch of sentence-transformers seed {seed}"
        result = self.results.get(key, lambda: alone(HERE / "peers.py", options))
        return float(result["seconds"])

    def vectors(self, encoder: str, name: str, seed: int) -> dict[str, Any]:
        """Return the scores of vectors of an encoder before and after a head that is trained on the vectors alone."""
        options = self._options(Case(encoder, name, "vectors", seed))
        return self.results.get(
            f"{encoder} {name} vectors seed {seed}", lambda: alone(HERE / "measured.py", {**options, "head": True})
        )

    def _options(self, case: Case) -> dict[str, Any]:
        return {
            "data": str(self.data), "set": case.set, "seed": case.seed, "per_label": case.per_label,
            "model": self.encoders[case.encoder], "threads": self.threads, "logistic": case.mode == "untouched",
            "label_classifier": True,
        }  # fmt: skip

    def _run(self, case: Case) -> dict[str, Any]:
        options, training = self._options(case), MODES[case.mode]
        if training is None:
            return alone(HERE / "measured.py", options)
        keep = self.models / case.key.replace(" ", "-") if self.models and case.per_label is None else None
        return train_and_measure(options, [*training, *(["--bf16"] if self.bf16 else [])], keep)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--mpnet", help="a folder with all-mpnet-base-v2; without it, this encoder is left out")
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tables", nargs="+", choices=["full", "few", "vectors"], default=["full", "few", "vectors"])
    parser.add_argument(
        "--modes", nargs="+", choices=list(MODES), help="rows of the tables full and few; default: those of each table"
    )
    parser.add_argument("--bf16", action="store_true", help="train in bfloat16")
    parser.add_argument("--skip-peer", action="store_true", help="do not time sentence-transformers")
    parser.add_argument(
        "--few", nargs="+", default=["5", "10", "all"], help="numbers of rows per label in the table few"
    )
    parser.add_argument("--encoders", nargs="+", choices=["MiniLM", "MPNet"], default=["MiniLM", "MPNet"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", type=Path, help="a folder in which to keep the models of runs on all rows")
    parser.add_argument("--output", type=Path, default=Path("quality.json"))
    arguments = parser.parse_args()
    encoders = {"MiniLM": model_folder("bundled")}
    if arguments.mpnet:
        encoders["MPNet"] = model_folder(arguments.mpnet)
    else:
        print("all-mpnet-base-v2 is left out, because --mpnet is not set", file=sys.stderr)
    encoders = {name: folder for name, folder in encoders.items() if name in arguments.encoders}
    bench = Bench(arguments.data, encoders, arguments.threads, arguments.output, arguments.models,
                  bf16=arguments.bf16)  # fmt: skip
    chosen = [(encoder, name) for encoder in encoders for name in arguments.sets]
    if "full" in arguments.tables:
        modes = arguments.modes or FULL
        if "auto" in modes:
            print_before_and_after(bench, chosen, arguments.seeds)
        print_full(bench, chosen, modes, arguments.seeds, peer=not arguments.skip_peer)
    if "few" in arguments.tables:
        numbers = [None if number == "all" else int(number) for number in arguments.few]
        print_few(bench, chosen, numbers, arguments.modes or FEW, arguments.seeds)
    if "vectors" in arguments.tables:
        print_vectors(bench, chosen, arguments.seeds)


def print_full(
    bench: Bench, chosen: Iterable[tuple[str, str]], modes: Sequence[str], seeds: Sequence[int], *, peer: bool
) -> None:
    """Print the table of runs on all training rows; with `peer`, in epochs of sentence-transformers too."""
    rows = []
    for encoder, name in chosen:
        for mode in modes:
            epochs, runs = [], []
            for seed in seeds:  # alternately, so that a busy minute slows both down
                if peer:
                    epochs.append(bench.peer(encoder, name, seed))
                runs.append(bench.run(Case(encoder, name, mode, seed)))
            runs = runs[:1] if mode == "untouched" else runs
            trained = "seconds" in runs[0]
            rows.append([
                name, encoder, mode, *quality(runs), _most_frequent(run["classifier"] for run in runs),
                own_accuracy(runs), mean_and_std((run["seconds"] for run in runs), 0) if trained else "–",
                mean_and_std((r["seconds"] / e for r, e in zip(runs, epochs, strict=True)), 2)
                if trained and peer else "–",
            ])  # fmt: skip
    header = [
        "data", "encoder", "trained", "MAP@R", "accuracy, %", "classifier", "LabelClassifier, %", "seconds",
        "epochs of ST",
    ]  # fmt: skip
    print_table(header, rows, "All training sentences; the last column is in epochs of sentence-transformers")


def print_before_and_after(bench: Bench, chosen: Iterable[tuple[str, str]], seeds: Sequence[int]) -> None:
    """Print what the default runs measured themselves, before and after: the table of the README."""
    columns, title = [], "The default run, before → after, as `tercet train` prints it"
    for encoder, name in chosen:
        runs = [bench.run(Case(encoder, name, "auto", seed)) for seed in seeds]
        if not all("record" in run for run in runs):
            print(f"{name}, {encoder}: a run has no record, because an older version of this script made it")
            continue
        columns.append([f"{name}, {encoder}", *_before_and_after([run["record"] for run in runs]), own_accuracy(runs)])
    if not columns:
        return
    names = [
        "MAP@R", "recall@1", "recall@10", *(f"accuracy of {kind.replace('_', ' ')}, %" for kind in CLASSIFIERS),
        "accuracy of the saved classifier, %",
    ]  # fmt: skip
    header, *rows = zip(*columns, strict=True)
    print_table(["", *header], [[name, *row] for name, row in zip(names, rows, strict=True)], title)


def _before_and_after(records: Sequence[dict[str, Any]]) -> Iterable[str]:
    """Return the cells of one data set and encoder, means over the seeds."""
    for metric in ("map@r", "recall@1", "recall@10"):
        parts = [[record["evaluation"][when][metric] for record in records] for when in ("before", "after")]
        yield " → ".join([f"{np.mean(parts[0]):.3f}", mean_and_std(parts[1])])
    for kind in CLASSIFIERS:
        encoders = ("untouched", "trained")
        parts = [
            [record["gain"][encoder]["classifiers"][kind]["accuracy"] for record in records] for encoder in encoders
        ]
        yield " → ".join([f"{100 * np.mean(parts[0]):.1f}", mean_and_std(parts[1], 1, 100)])


def print_few(
    bench: Bench,
    chosen: Iterable[tuple[str, str]],
    per_label: Sequence[int | None],
    modes: Sequence[str],
    seeds: Sequence[int],
) -> None:
    """Print the table of runs on few rows of each label, and how far `auto` is from the best."""
    quality_rows, gaps = [], []
    for encoder, name in chosen:
        for number in per_label:
            runs = {mode: [bench.run(Case(encoder, name, mode, seed, number)) for seed in seeds] for mode in modes}
            label = [name, encoder, number or "all"]
            quality_rows += [[*label, mode, *quality(group), own_accuracy(group)] for mode, group in runs.items()]
            if "untouched" in runs:
                logistic = mean_and_std((run["accuracies"]["logistic regression"] for run in runs["untouched"]), 1, 100)
                quality_rows.append([*label, "untouched, logistic regression", "–", logistic, "–"])
            if {"auto", "untouched"} <= runs.keys():
                gaps += [[*label, *gap] for gap in _gaps(runs)]
    header = ["data", "encoder", "a label", "trained", "MAP@R", "accuracy, %", "LabelClassifier, %"]
    print_table(header, quality_rows, "Few sentences")
    header = ["data", "encoder", "a label", "metric", "auto against", "difference", "95 % interval", "within the limit"]
    print_table(header, gaps, "`auto` against the best, and against logistic regression on the untouched encoder")


def _gaps(runs: dict[str, list[dict[str, Any]]]) -> Iterable[list[object]]:
    from tercet.evaluation.bootstrap import mean_difference

    def values(mode: str, metric: str) -> np.ndarray:
        """The value of each test row, mean over the seeds."""
        if metric == "map@r":
            return np.mean([run["average_precision"] for run in runs[mode]], axis=0)
        kinds = ["logistic regression" if metric == "logistic" else run["classifier"] for run in runs[mode]]
        found = [[int(digit) for digit in run["rows"][kind]] for run, kind in zip(runs[mode], kinds, strict=True)]
        return np.mean(found, axis=0)

    for metric, allowed in ALLOWED.items():
        best = max((mode for mode in runs if mode != "auto"), key=lambda mode: values(mode, metric).mean())
        yield _gap(metric, best, mean_difference(values(best, metric), values("auto", metric)), allowed)
    difference = mean_difference(values("untouched", "logistic"), values("auto", "accuracy"))
    yield _gap("accuracy", "logistic regression", difference, 0.0)


def _gap(metric: str, best: str, difference: Any, allowed: float) -> list[object]:
    interval = f"{difference.low:+.3f} to {difference.high:+.3f}"
    return [metric, best, f"{difference.difference:+.3f}", interval, "yes" if difference.high >= -allowed else "NO"]


def print_vectors(bench: Bench, chosen: Iterable[tuple[str, str]], seeds: Sequence[int]) -> None:
    """Print the gain of a head that is trained on vectors alone, as for vectors of any model or service."""
    rows = []
    for encoder, name in chosen:
        runs = [bench.vectors(encoder, name, seed) for seed in seeds]
        rows.append([name, encoder, *quality([runs[0]["before"]]), *quality(run["after"] for run in runs),
                     mean_and_std((run["head_seconds"] for run in runs), 0)])  # fmt: skip
    header = ["data", "vectors of", "MAP@R before", "accuracy, %", "MAP@R after", "accuracy, %", "seconds"]
    print_table(header, rows, "A head for vectors that exist")


def quality(runs: Iterable[dict[str, Any]]) -> list[str]:
    """Return the cells of MAP@R and of the accuracy in percent."""
    runs = list(runs)
    return [mean_and_std(run["map@r"] for run in runs), mean_and_std((run["accuracy"] for run in runs), 1, 100)]


def own_accuracy(runs: Iterable[dict[str, Any]]) -> str:
    """Return the cell of the accuracy, in percent, of the classifiers that the runs saved; "–" if not measured."""
    found = [run["accuracies"].get("LabelClassifier") for run in runs]
    return "–" if None in found else mean_and_std(found, 1, 100)


def _most_frequent(names: Iterable[str]) -> str:
    names = list(names)
    return max(sorted(set(names)), key=names.count)


if __name__ == "__main__":
    main()
