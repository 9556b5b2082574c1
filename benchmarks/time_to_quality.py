"""Seconds to a MAP@R: a linear head against one epoch of sentence-transformers, and SetFit on few sentences.

    python benchmarks/time_to_quality.py --data DIR [--set banking77] [--model bundled] [--seed 0] [--threads 2]
        [--setfit PYTHON] [--setfit-seeds 0 1 2] [--setfit-steps N] [--skip-race] [--output FILE.json]

sentence-transformers trains one epoch: batches of 64 grouped by label, BatchSemiHardTripletLoss, margin 0.3, its other
defaults. Its MAP@R on the test file (ranked against the training file) is the goal. Tercet embeds a quarter, half and
all of the training sentences, and trains a head on what it has after each; it is done at the first head that reaches
the goal. Both are timed from the start of their processes, with imports, model, tokenization and encoding; only the
measuring is left out. They run one after the other.

--setfit names the Python of a virtual environment with Tercet and SetFit (`make bench-setfit` makes one). It is trained
with its own defaults on 8 sentences of each label, and `tercet train` with its defaults on the same sentences; each
classifies the test file with its own classifier. Other seeds draw other sentences. SetFit draws every pair of
sentences, which takes hours on a CPU; --setfit-steps stops it earlier. FILE is written after each run, and runs that it
has are not repeated.
"""

import argparse
import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from command import train_and_measure
from common import HERE, Results, alone, mean_and_std, model_folder, print_table, train_and_test

FRACTIONS = (0.25, 0.5, 1.0)
# A third of the default steps with half of the default batch: a head in two seconds instead of ten.
STEPS, BATCH = 100, 512
SENTENCES_PER_LABEL = 8
# Of the time of the epoch, as a goal of the project.
GOAL = 1 / 8


def one(options: dict[str, Any]) -> dict[str, Any]:
    """Embed and train heads on growing parts of the training file. Return seconds and scores after each."""
    torch.set_num_threads(options["threads"])
    from tercet import SentenceTransformer
    from tercet.heads import HeadSettings, train_head

    (texts, labels), test = train_and_test(Path(options["data"]), options["set"])
    ids = np.array(labels)
    model = SentenceTransformer(options["model"], device="cpu")
    order = np.random.default_rng(options["seed"]).permutation(len(texts))
    embeddings, heads, done = torch.empty(0, model.get_sentence_embedding_dimension()), [], 0
    for fraction in FRACTIONS:
        end = round(fraction * len(order))
        new = model.encode([texts[row] for row in order[done:end]], convert_to_tensor=True)
        embeddings, done = torch.cat([embeddings, new]), end
        head = train_head(embeddings, ids[order[:done]], settings=HeadSettings(steps=STEPS, batch_size=BATCH))
        heads.append((time.time() - options["start"], head))
    from measured import scores

    queries = model.encode(test[0], convert_to_tensor=True)
    return {
        "heads": [
            {"seconds": seconds, "fraction": fraction, **scores(head(embeddings), ids[order], head(queries), test[1])}
            for fraction, (seconds, head) in zip(FRACTIONS, heads, strict=True)
        ]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--set", default="banking77")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--setfit", type=Path, help="the Python of an environment that has SetFit")
    parser.add_argument("--setfit-steps", type=int, default=-1, help="stop SetFit after this number of steps")
    parser.add_argument("--setfit-seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--skip-race", action="store_true", help="compare with SetFit only")
    parser.add_argument("--output", type=Path, default=Path("time_to_quality.json"))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(json.loads(arguments.one))))
        return
    options = {
        "data": str(arguments.data), "set": arguments.set, "model": model_folder(arguments.model),
        "seed": arguments.seed, "threads": arguments.threads,
    }  # fmt: skip
    results = Results(arguments.output)
    if not arguments.skip_race:
        race(results, options)
    if arguments.setfit:
        few_sentences(results, options, arguments)


def race(results: Results, options: dict[str, Any]) -> None:
    """Measure one epoch of sentence-transformers and the heads, and print both."""
    name = f"{options['set']}, {Path(options['model']).name}, seed {options['seed']}"
    epoch_of_peer = {**options, "peer": "sentence-transformers", "measure": True}
    peer = results.get(f"{name}, sentence-transformers", lambda: alone(HERE / "peers.py", epoch_of_peer))
    ours = results.get(f"{name}, heads", lambda: alone(__file__, options))
    print_race(peer, ours["heads"])


def few_sentences(results: Results, options: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Train SetFit and Tercet on few sentences of each label, once for each seed, and print both."""
    steps, runs = arguments.setfit_steps, []
    for seed in arguments.setfit_seeds:
        few = {**options, "seed": seed, "per_label": SENTENCES_PER_LABEL, "logistic": False, "label_classifier": True}
        name = f"{options['set']}, {Path(options['model']).name}, seed {seed}"
        setfit = results.get(
            f"{name}, SetFit, {'its own number of' if steps < 0 else steps} steps",
            partial(alone, HERE / "peers.py", {**few, "peer": "setfit", "max_steps": steps}, arguments.setfit),
        )
        runs.append((setfit, results.get(f"{name}, few sentences", partial(train_and_measure, few))))
    print_few(runs)


def print_race(peer: dict[str, Any], heads: list[dict[str, Any]]) -> None:
    """Print the goal, the heads, and the ratio of the times."""
    rows = [["sentence-transformers, one epoch", f"{peer['map@r']:.3f}", f"{peer['accuracy']:.1%}", _seconds(peer)]]
    for head in heads:
        rows.append([
            f"head on {head['fraction']:.0%} of the sentences", f"{head['map@r']:.3f}", f"{head['accuracy']:.1%}",
            _seconds(head),
        ])  # fmt: skip
    print_table(["trained", "MAP@R", "accuracy", "seconds"], rows)
    reached = [head for head in heads if head["map@r"] >= peer["map@r"]]
    if not reached:
        print("\nno head reaches the MAP@R of the epoch")
        return
    ratio = reached[0]["seconds"] / peer["seconds"]
    place = "within" if ratio <= GOAL else "ABOVE"
    print(f"\nThe head reaches this MAP@R after {ratio:.3f} of the time: {place} the goal of {GOAL:.3f}")


def print_few(runs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Print accuracy and seconds of SetFit and Tercet on few sentences of each label, mean and deviation over seeds."""
    setfit, ours = zip(*runs, strict=True)
    accuracies = {
        "SetFit": [run["accuracy"] for run in setfit],
        "tercet train": [run["accuracies"]["LabelClassifier"] for run in ours],
    }
    rows = [
        [name, mean_and_std(accuracies[name], 1, 100), mean_and_std((run["seconds"] for run in group), 0)]
        for name, group in zip(accuracies, (setfit, ours), strict=True)
    ]
    title = f"{SENTENCES_PER_LABEL} sentences of each label, {len(runs)} seeds"
    print_table(["trained", "accuracy, %", "seconds"], rows, title)


def _seconds(result: dict[str, Any]) -> str:
    return f"{result['seconds']:.0f}"


if __name__ == "__main__":
    main()
