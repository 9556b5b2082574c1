"""The commands that are printed to run next, with the options that read the data in the same way."""

from collections.abc import Iterable
from dataclasses import fields, replace

from tercet.cli.options import FILE_OPTIONS
from tercet.data.reading.options import ReadOptions


def option_words(options: ReadOptions) -> list[str]:
    """Return the options of a command that reads data as `options` says, without those that have their default."""
    words: list[str] = []
    for field in fields(options):
        value, flag = getattr(options, field.name), field.name.replace("_", "-")
        if value == field.default or field.name == "optional_split":  # This one is no option of a command.
            continue
        if (field.name, value) == ("drop_missing", False):
            words.append("--strict")
            continue
        if isinstance(value, list):
            words += [word for item in value for word in (f"--{flag}", str(item))]
            continue
        words += [f"--{flag}"] if value is True else [f"--no-{flag}"] if value is False else [f"--{flag}", str(value)]
    return words


def evaluate_command(
    model: object,
    eval_data: str | None,
    data: str,
    options: ReadOptions,
    eval_split: str | None = None,
    *,
    trust_remote_code: bool = False,
) -> list[object]:
    """Return the command that evaluates a trained model, to print when a training has ended.

    Its reference is the training data. It evaluates the rows that the run was evaluated on, or new ones.

    Args:
        model: the folder of the model.
        eval_data: the value of `--eval-data`.
        data: the training data.
        options: how they were read.
        eval_split: the split of the training data that the run was evaluated on; None if it was on other rows.
        trust_remote_code: the value of `--trust-remote-code`.
    """
    from tercet.data.reading.sources import takes_split

    reference = []
    if options.label_file is None:  # The labels of a reference are in its own file.
        reference = ["--reference", data]
        if options.split_column is not None and eval_split is None:
            reference += ["--reference-split-column", options.split_column]
        if options.split != "train" and (options.split_column is not None or takes_split(data)):
            reference += ["--reference-split", options.split]
    if eval_split is not None:
        rows, words = data, option_words(replace(options, split=eval_split))
    elif eval_data is not None:  # `--split` is that of both, but another one is the default of `tercet evaluate`.
        split = ["--split", options.split] if takes_split(eval_data) else []
        same = replace(options, split="train", split_column=None, label_file=None)
        rows, words = eval_data, [*split, *option_words(same)]
    else:
        labels = [] if options.label_file is None else ["--label-file", "TEST-LABELS.txt"]
        new = replace(options, split="train", split_column=None, limit=None, sample=None, label_file=None)
        rows, words = "TEST.csv", [*option_words(new), *labels]
    return ["tercet", "evaluate", model, rows, *reference, *words, *trust_words(trust_remote_code)]


def encode_command(
    model: object, data: str, options: ReadOptions, *, incomplete: bool, trust_remote_code: bool
) -> list[object]:
    """Return the command that embeds data, to print when a model was evaluated on them.

    Args:
        model: the model.
        data: the data.
        options: how they were read.
        incomplete: whether rows were left out. A .npy file has a row for each row of the data, so a table is written.
        trust_remote_code: the value of `--trust-remote-code`.
    """
    from tercet.data.reading.sources import takes_split

    names = ["text_column", "header", *FILE_OPTIONS]
    if options.split_column is not None or takes_split(data):
        names.append("split")
    words = [*_words_of(options, names), *trust_words(trust_remote_code)]
    return ["tercet", "encode", model, data, *words, "--output", f"embeddings.{'parquet' if incomplete else 'npy'}"]


def classify_command(model: object, options: ReadOptions, *, trust_remote_code: bool = False) -> list[object]:
    """Return the command that classifies new sentences in a file like the training data, which `options` read."""
    words = _words_of(options, ["text_column", "header", "csv_separator", "encoding"])
    trust = trust_words(trust_remote_code)
    return ["tercet", "classify", model, "NEW.csv", *words, *trust, "--output", "routed.csv"]


def fit_classifier_command(
    model: object,
    data: str,
    options: ReadOptions,
    output: object,
    *,
    eval_data: str | None = None,
    trust_remote_code: bool = False,
) -> list[object]:
    """Return the command that fits a classifier on the untouched encoder, to print if training made none better.

    A training and an evaluation with a baseline print it.

    Args:
        model: the untouched encoder.
        data: the training data, or the reference of the evaluation.
        options: how they were read.
        output: the folder of the trained model; that of the classifier has a name beside it.
        eval_data: the value of `--eval-data`. Options of its format alone are left out.
        trust_remote_code: the value of `--trust-remote-code`.
    """
    from tercet.data.reading.other_files import options_of_file

    words = [*option_words(options_of_file(options, data, eval_data)), *trust_words(trust_remote_code)]
    return ["tercet", "fit-classifier", model, data, *words, "--output", f"{output}-untouched"]


def trust_words(trust_remote_code: bool) -> list[str]:
    """Return `--trust-remote-code` if it was given."""
    return ["--trust-remote-code"] if trust_remote_code else []


def _words_of(options: ReadOptions, names: Iterable[str]) -> list[str]:
    """Return `option_words` of these options only."""
    return option_words(ReadOptions(**{name: getattr(options, name) for name in names}))
