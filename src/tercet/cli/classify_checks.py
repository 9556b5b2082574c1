"""Check the arguments of `tercet classify` before anything is loaded."""

from pathlib import Path

from tercet._files import expand_path
from tercet._files.model_files import CLASSIFIER_FILE, classifier_labels, has_classifier, is_model_folder
from tercet.cli.classify_columns import added_names
from tercet.cli.input_files import Files
from tercet.cli.table_input import check_new_names
from tercet.data.columns.labelled import find_given_labels
from tercet.data.reading.options import ReadOptions
from tercet.data.writing import find_suffix, writable_suffixes
from tercet.errors import DataError, listed

DEFAULT_FORMAT = "csv"


def suffix_of(output: Path | None, output_format: str | None) -> str:
    """Return the file extension of the format to write."""
    if output is not None:
        return find_suffix(output, "--output")
    output_format = output_format or DEFAULT_FORMAT
    names = [suffix.removeprefix(".") for suffix in writable_suffixes() if suffix != ".parquet"]
    if output_format not in names:
        raise DataError(f"--format must be one of {listed(names)}, got {output_format!r}; for others, pass --output")
    return f".{output_format}"


def check_names(names: list[str], label_column: str | None, source: str, top: int, *, explain: bool) -> str:
    """Return the name of the column of answers, or raise `DataError` if an added column is in the input already."""
    label_name = "predicted_label" if label_column is not None or "label" in names else "label"
    check_new_names(names, added_names(label_name, top=top, explain=explain, texts=explain), source)
    return label_name


def check_names_of_files(files: Files, options: ReadOptions, top: int, *, explain: bool) -> None:
    """Raise `DataError` if an added column is in a file already, or if the answers of two files had other names."""
    found: dict[str, Path] = {}
    for file, schema in files.items():
        others = [name for name in schema.names if name != options.text_column]
        label = find_given_labels(others, str(file), options.label_name)
        found.setdefault(check_names(schema.names, label, str(file), top, explain=explain), file)
    if len(found) > 1:
        raise DataError(
            f"{found['predicted_label']} has a column of labels, but {found['label']} has none; make the columns of "
            "the files equal"
        )


def check_folder(model: str) -> None:
    """Raise `DataError` if the folder has no classifier of sentences."""
    folder = expand_path(model)
    fit = f"tercet fit-classifier {model} TRAIN.csv --output ANOTHER-FOLDER"
    if not folder.is_dir():
        raise DataError(
            f"no folder {model!r}; pass the folder of a model with a classifier, which tercet train and tercet "
            "fit-classifier write"
        )
    if not has_classifier(folder):
        raise DataError(f"{model} has no classifier ({CLASSIFIER_FILE}); fit one with: {fit}")
    if not is_model_folder(folder):
        raise DataError(f"{model} has a classifier of embeddings and no encoder, so it cannot classify sentences")


def check_top(model: str, top: int) -> None:
    """Raise `DataError` if the classifier in the folder has fewer labels than `top`. Read only its labels."""
    labels = classifier_labels(expand_path(model)) if top else []
    if labels and top > len(labels):
        raise DataError(f"--top must be at most {len(labels)}, the number of labels, got {top}")
