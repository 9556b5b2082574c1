"""The command `tercet encode`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tercet._files import atomic_file, expand_path
from tercet._files.head_files import WEIGHTS_FILE
from tercet.cli import options as opt
from tercet.cli.command_errors import report_errors
from tercet.cli.console import finish, load_model, print_note, shows_progress
from tercet.cli.flags import flag_of
from tercet.cli.input_files import check_options, choose_columns, find_files
from tercet.cli.many_files import check_output_folder, model_settings, write_each
from tercet.cli.outputs import check_outputs
from tercet.cli.searchable import PromptName, warn_of_unused_prompts
from tercet.cli.table_input import TableInput, check_new_names, read_table_input
from tercet.encoder.names import check_model_name
from tercet.errors import DataError, counted

if TYPE_CHECKING:
    import numpy as np

    from tercet.encoder.sentence_transformer import SentenceTransformer
    from tercet.heads import LinearHead


@report_errors
@opt.file_options
def encode(
    model: Annotated[
        str, typer.Argument(help=f"{opt.MODEL_HELP} With --head, a .npy or .parquet file of vectors, without DATA.")
    ],
    data: Annotated[
        str | None,
        typer.Argument(help=opt.DATA_HELP, show_default=False),
    ] = None,
    *,
    output: Annotated[
        Path,
        typer.Option(
            help="The file to write: .npy (float32) or .parquet (the columns of DATA, and embedding). "
            f"{opt.FOLDER_OUTPUT_HELP}"
        ),
    ],
    head: Annotated[
        Path | None, typer.Option(help="The folder of a linear head, which is applied to the embeddings.")
    ] = None,
    vector_column: Annotated[
        str | None, typer.Option(help="The column of the vectors in a .parquet file. [default: the only one]")
    ] = None,
    batch_size: opt.EncodeBatchSize = None,
    normalize: Annotated[bool, typer.Option("--normalize", help="Scale each embedding to length 1.")] = False,
    prompt_name: PromptName = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="The route of a model with a Router, such as query or document.", show_default="its default route"
        ),
    ] = None,
    text_column: opt.TextColumn = None,
    split: opt.SplitOfFiles = None,
    header: opt.Header = None,
    bf16: opt.EncodeBf16 = False,
    device: opt.Device = None,
    trust_remote_code: opt.TrustRemoteCode = False,
    overwrite: opt.OverwriteFile = False,
    quiet: opt.Quiet = False,
    **reading: Any,
) -> None:
    """Embed sentences, or apply a head to vectors, and write the result to a file, in the order of the rows."""
    if data is not None and vector_column is not None:
        raise DataError("--vector-column is for vectors, which need no model: tercet encode VECTORS --head FOLDER")
    by_name = split if reading["split_column"] is None else None
    files = None if data is None else find_files(data, output, by_name)
    if files is None and output.suffix not in (".npy", ".parquet"):
        raise DataError(
            f"--output must end in .npy or .parquet, or be a folder if DATA is one or a pattern, got {str(output)!r}"
        )
    # Without DATA, the first argument is a file of vectors.
    read_first = {"the input data": model} if data is None else {"the input data": data, "the model": model}
    inputs = {**read_first, "the head": head}
    if files is None:
        check_outputs({"--output": output}, inputs, overwrite=overwrite)
    else:
        check_output_folder(files, output, overwrite=overwrite)
    if data is None:
        if head is None:
            raise DataError("the data are missing: tercet encode MODEL DATA; to map a file of vectors, add --head")
        for_sentences = {
            "text_column": text_column, "split": split, "header": header, **reading, "normalize": normalize or None,
            "prompt_name": prompt_name, "task": task, "batch_size": batch_size, "device": device,
            "bf16": bf16 or None, "trust_remote_code": trust_remote_code or None,
        }  # fmt: skip
        _check_unused(for_sentences)
        _encode_vectors(model, head, vector_column, output, overwrite=overwrite)
        return
    check_model_name(model)
    loaded_head = None if head is None else _load_head(head)
    from tercet.data.reading.options import ReadOptions

    # The rows of a .npy file are numbered like those of the data, so none can be left out.
    suffix = output.suffix if files is None else ".parquet"
    options = ReadOptions.of(
        locals(), split=split or ReadOptions.split, drop_missing=False if suffix == ".npy" else None
    )

    def read(source: str | Path) -> TableInput:
        rows = read_table_input(str(source), options, suffix, with_labels=False)
        if suffix != ".npy":
            check_new_names(rows.names, ["embedding"], rows.source)
        return rows

    if files is None:
        rows = read(data)
    else:
        check_options(options)
        for file, schema in files.items():
            check_new_names(schema.names, ["embedding"], str(file))
        options = choose_columns(files, options, with_labels=False)
    encoder = load_model(model, device=device, trust_remote_code=trust_remote_code, bf16=bf16)
    _check_task(encoder, task)
    if loaded_head is None:  # The prompt of vectors that a head was trained on is unknown.
        warn_of_unused_prompts(encoder, model, [prompt_name], "prompt_name")
    else:
        loaded_head.check_dimension(encoder.get_sentence_embedding_dimension(), f"the embeddings of {model}")

    def embed(texts: list[str]) -> "np.ndarray":
        embeddings: np.ndarray = encoder.encode(
            texts,
            prompt_name,
            task=task,  # type: ignore[arg-type]
            batch_size=batch_size,
            show_progress_bar=shows_progress(quiet) and files is None,
            normalize_embeddings=normalize,
        )
        return embeddings if loaded_head is None else loaded_head(embeddings)

    if files is None:
        _finish(output, embed(rows.texts), dict(rows.columns), overwrite=overwrite)
        return

    def write(table: TableInput, target: Path) -> None:
        _write(target, dict(table.columns), embed(table.texts))

    content = model_settings(encoder, *([] if head is None else [expand_path(head) / WEIGHTS_FILE]))
    settings = {"command": "encode", **content, "bf16": bf16, "normalize": normalize, "prompt_name": prompt_name,
                "task": task, **asdict(options)}  # fmt: skip
    write_each(files, output, settings, read, write)
    finish()


def _check_unused(for_sentences: dict[str, Any]) -> None:
    """Raise `DataError` if an option for sentences is given beside a file of vectors."""
    if given := [flag_of(name) for name, value in for_sentences.items() if value is not None]:
        them = "it" if len(given) == 1 else "them"
        raise DataError(f"{' and '.join(given)} would have no effect on a file of vectors; leave {them} out")


def _check_task(encoder: "SentenceTransformer", task: str | None) -> None:
    """Raise `TercetError` if the model has no route for a task."""
    from tercet.encoder import Router

    if task is not None:
        if not isinstance(encoder.input_module, Router):
            raise DataError(
                f"--task {task} is for a model with a Router, which has other modules for queries; leave it out"
            )
        encoder.input_module.route(task)


def _load_head(folder: Path) -> "LinearHead":
    from tercet.heads import load_head  # imports torch

    return load_head(folder)


def _encode_vectors(source: str, folder: Path, vector_column: str | None, output: Path, *, overwrite: bool) -> None:
    """Apply a head to a file of vectors. The other columns of a .parquet file are written, too."""
    from tercet.data.formats.vector_files import other_columns, read_complete_vectors

    vectors = read_complete_vectors(source, vector_column)
    head = _load_head(folder)
    head.check_dimension(vectors.shape[1], f"the vectors of {source}")
    columns = other_columns(source, vector_column) if output.suffix == ".parquet" else {}
    _finish(output, head(vectors), columns, overwrite=overwrite)


def _finish(output: Path, embeddings: "np.ndarray", columns: dict[str, Any], *, overwrite: bool) -> None:
    with atomic_file(output, overwrite=overwrite) as partial:
        _write(partial, columns, embeddings)
    print_note(f"{counted(len(embeddings), 'embedding')} of dimension {embeddings.shape[1]} written to {output}")
    finish(["python", "-c", _reading(output)])


def _reading(output: Path) -> str:
    """Return a line of Python that reads the written file."""
    if output.suffix == ".npy":
        return f"import numpy; print(numpy.load({str(output)!r}).shape)"
    return f"from pyarrow import parquet; print(parquet.read_table({str(output)!r}))"


def _write(path: Path, columns: dict[str, Any], embeddings: object) -> None:
    import numpy as np

    array = np.ascontiguousarray(embeddings)
    if path.suffix == ".npy":
        # `np.save` reports no error if the last 4 KiB do not fit on the disk; a Python file does.
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
            file.write(array.data)
        return
    import pyarrow as pa

    from tercet.data.writers import write_parquet

    vectors = pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])
    write_parquet(pa.table({**columns, "embedding": vectors}), path)
