"""Options that several commands have, and their checks."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec, get_type_hints

import typer

from tercet.catalogue import DISTANCES, LOSSES
from tercet.cli.choices import choice_option, seconds_of
from tercet.data.reading.options import DEFAULT_EVAL_FRACTION
from tercet.encoder.names import BUNDLED
from tercet.errors import DataError
from tercet.runs.settings import DEFAULT_MODEL, describe

P = ParamSpec("P")

MODEL_HELP = f"A folder, a name on the hub, or '{BUNDLED}' for the encoder of tercet[demo]."

DATA_HELP = (
    "A file ({suffixes}), also compressed (.gz, .zst, .zip); a folder; - for standard input; or the name of a data set "
    "on the hub."
)
FOLDER_OUTPUT_HELP = (
    "If DATA is a folder or a pattern of .parquet files, --output is a folder with one output file per input file; "
    "--limit, --sample and --overwrite are then not supported."
)
Data = Annotated[str, typer.Argument(help=DATA_HELP)]
Model = Annotated[
    str | None,
    typer.Option(
        help=f"{MODEL_HELP} [default: {DEFAULT_MODEL}, or '{BUNDLED}' with a warning if the hub cannot be reached]"
    ),
]
ModelArgument = Annotated[str, typer.Argument(help=MODEL_HELP)]
Loss = Annotated[str, choice_option(LOSSES, "The loss; it determines the triplets to train on.{losses}")]
Distance = Annotated[str, choice_option(DISTANCES, "The distance between embeddings.{distances}")]
TrainDistance = Annotated[
    str | None,
    choice_option(
        DISTANCES,
        "The distance between embeddings. [default: euclidean if the embeddings of the encoder have length 1, else "
        "cosine]{distances}",
    ),
]
BatchSize = Annotated[int, typer.Option(help=describe("batch_size"))]
EncodeBatchSize = Annotated[
    int | None,
    typer.Option(help="Maximum number of sentences to embed at once. [default: depends on their length]", min=1),
]
SamplesPerLabel = Annotated[int, typer.Option(help=describe("samples_per_label"))]
LearningRate = Annotated[float | None, typer.Option(help=describe("learning_rate"), show_default="by encoder and data")]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        help=f"{describe('time_limit')} 90 or 90s, 10m, 1.5h.",
        show_default="no limit",
        metavar="TIME",
        parser=seconds_of,
    ),
]
WarmupRatio = Annotated[float, typer.Option(help=describe("warmup_ratio"))]
EvalData = Annotated[
    str | None,
    typer.Option(
        help="The data to evaluate on: a file, or a data set on the hub (same --split). [default: the split validation "
        "or test of DATA, if it is a folder or a file with splits, else held-out rows]"
    ),
]
EvalFraction = Annotated[
    float | None,
    typer.Option(
        help=f"Without --eval-data, hold out this fraction of each label's rows, or of all triplets. "
        f"[default: {DEFAULT_EVAL_FRACTION}]"
    ),
]
TextColumn = Annotated[
    str | None,
    typer.Option(
        help="The column of sentences, or several to join, such as title,body. [default: a usual name, such as text, "
        "else a guess]"
    ),
]
LabelColumns = Annotated[
    list[str] | None,
    typer.Option(
        "--label-column",
        help="The column of labels; repeat it for the levels of nested labels, the coarsest first. [default: a usual "
        "name, such as label, else a guess]",
    ),
]
VectorColumn = Annotated[
    str | None, typer.Option(help="The column of vectors of a .parquet file, to use them instead of sentences.")
]
LabelFile = Annotated[
    str | None,
    typer.Option(help="A file with the label of each row of DATA, in its order: one per line, or a column of a table."),
]
EvalLabelFile = Annotated[str | None, typer.Option(help="The file with the labels of --eval-data, for vectors.")]
Split = Annotated[
    str,
    typer.Option(help="The split to read, if DATA is a data set on the hub or has splits; or the sheet of a .xlsx."),
]
SplitOfFiles = Annotated[
    str | None,
    typer.Option(
        help="The split to read, if DATA is a data set on the hub or has splits; or the sheet of a .xlsx. If a "
        "folder is written, the files of DATA with this word in their names.",
        show_default="train; all files if a folder is written",
    ),
]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="The first line of a .csv, .tsv or .xlsx file contains the column names, or is data; the columns are "
        "then 0, 1, and so on. [default: names, unless they look like data]",
    ),
]
LabelLevels = Annotated[
    str | None,
    typer.Option(
        help="The separator of the levels of nested labels, such as / in billing/refund. Every level is measured.",
        show_default="no levels",
    ),
]
MultiLabel = Annotated[
    str | None,
    typer.Option(
        help="The separator of the labels of a row, such as ';', if rows have several; a column of lists needs none.",
        show_default="one label per row",
    ),
]
CombinedLabels = Annotated[
    str | None,
    typer.Option(
        metavar="[keep|first|drop]",
        help="For cells with several labels, such as 'billing|refund': use each combination as a label, use the first "
        "label, or leave the rows out. [default: an error, in inspect a count]",
    ),
]
SimilarLabels = Annotated[
    str | None,
    typer.Option(
        metavar="[merge|keep]",
        help="For labels that differ only in case, spaces or another form: use the most frequent form, or keep them "
        "apart. [default: an error, in inspect a count]",
    ),
]
DropMissing = Annotated[
    bool | None,
    typer.Option(
        "--drop-missing/--strict",
        help="Leave out rows without a text or a label, or end with an error. [default: leave out with a warning; "
        "inspect counts them]",
    ),
]
CsvSeparator = Annotated[
    str | None,
    typer.Option(help="The separator of the columns of a text file, such as ';' or tab.", show_default="found"),
]
Encoding = Annotated[
    str | None, typer.Option(help="The encoding of a text file, such as cp1252.", show_default="found")
]
# The options of `FileArguments`. `file_options` adds them to a command.
FILE_OPTIONS = {
    "csv_separator": CsvSeparator,
    "encoding": Encoding,
    "split_column": Annotated[
        str | None,
        typer.Option(help="The column with the name of each row's split; --split names the rows to read."),
    ],
    "limit": Annotated[
        int | None, typer.Option(help="Read only this number of rows from the start.", show_default="all")
    ],
    "sample": Annotated[
        int | None,
        typer.Option(help="Read only this number of rows, chosen at random, the same each time.", show_default="all"),
    ],
}
Bf16 = Annotated[bool, typer.Option("--bf16", help=describe("bf16"))]
EncodeBf16 = Annotated[bool, typer.Option("--bf16", help="Embed in bfloat16: on a GPU, or with avx512_bf16.")]
NoPacking = Annotated[
    bool,
    typer.Option(
        "--no-packing", help="Pad the sentences of a batch to equal length instead of packing them without padding."
    ),
]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run Python code that comes with the model.")
]
MaxSeqLength = Annotated[int | None, typer.Option(help=describe("max_seq_length"), show_default="that of the model")]
Lora = Annotated[bool, typer.Option("--lora", help=describe("lora"))]
LoraRank = Annotated[int | None, typer.Option(help=describe("lora_rank"))]
MiniBatchTokens = Annotated[int | None, typer.Option(help=describe("mini_batch_tokens"))]
OverwriteFile = Annotated[bool, typer.Option("--overwrite", help="Replace the file at --output.")]
Device = Annotated[
    str | None, typer.Option(help="The PyTorch device, such as cpu or cuda:1. [default: a GPU if there is one]")
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="A TOML file with options of this command, such as batch-size = 128. Options on the command line override "
        "those of the file. Its paths are relative to the current folder."
    ),
]
NoTexts = Annotated[
    bool, typer.Option("--no-texts", help="Leave the sentences of the data out of the HTML report. Labels stay.")
]
KeepTexts = Annotated[
    bool,
    typer.Option(
        "--keep-texts", help="Save the training sentences with the classifier, to show them in tercet classify."
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="Print only results and errors: no progress bars, notes or warnings.")
]


def file_options(command: Callable[P, None]) -> Callable[P, None]:
    """Decorate a command that has `**reading` with the options of `FileArguments`."""
    hints = get_type_hints(command, include_extras=True)
    signature = inspect.signature(command)
    own = [param for param in signature.parameters.values() if param.kind is not param.VAR_KEYWORD]
    own = [param.replace(annotation=hints.get(param.name, param.annotation)) for param in own]
    options = dict(FILE_OPTIONS)
    if "similar_labels" in signature.parameters and "label_file" not in signature.parameters:
        options["label_file"] = LabelFile
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in options.items()
    ]
    # Options that every command has, such as --quiet, stay last in its help.
    place = next((at for at, param in enumerate(own) if param.name == "header"), len(own) - 1) + 1
    params = [*own[:place], *added, *own[place:]]
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[param.replace(kind=param.KEYWORD_ONLY) for param in params]
    )
    command.__annotations__ = {param.name: param.annotation for param in params} | {"return": None}
    return command


def check_evaluation(eval_data: str | None, eval_fraction: float | None) -> None:
    """Raise `DataError` if both `--eval-data` and `--eval-fraction` are given."""
    if eval_data is not None and eval_fraction is not None:
        raise DataError("--eval-data and --eval-fraction exclude each other; give one")
