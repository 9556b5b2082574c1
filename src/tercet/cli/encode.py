"""The command `tercet encode`."""

from pathlib import Path
from typing import Annotated

import typer

from tercet._files import atomic_file
from tercet.cli import options as opt
from tercet.cli.console import finish, load_model, print_note, report_errors, shows_progress
from tercet.cli.outputs import check_outputs
from tercet.encoder.names import check_model_name
from tercet.errors import DataError


@report_errors
def encode(
    model: opt.ModelArgument,
    data: opt.Data,
    output: Annotated[
        Path, typer.Option(help="The file to write: .npy (float32) or .parquet (columns text and embedding).")
    ],
    batch_size: opt.EncodeBatchSize = None,
    normalize: Annotated[bool, typer.Option("--normalize", help="Scale each embedding to length 1.")] = False,
    prompt_name: Annotated[
        str | None,
        typer.Option(
            help="The name of the prompt of the model to put before each sentence. [default: the default prompt of the "
            "model, if it has one]"
        ),
    ] = None,
    text_column: opt.TextColumn = None,
    split: opt.Split = "train",
    header: opt.Header = None,
    device: opt.Device = None,
    trust_remote_code: opt.TrustRemoteCode = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file at --output.")] = False,
    quiet: opt.Quiet = False,
) -> None:
    """Embed sentences and write the embeddings to a file, in the order of the sentences."""
    if output.suffix not in (".npy", ".parquet"):
        raise DataError(f"--output must end in .npy or .parquet, got {str(output)!r}")
    check_outputs({"--output": output}, {"the input data": data, "the model": model}, overwrite=overwrite)
    check_model_name(model)
    from tercet._texts import check_texts
    from tercet.data.columns import find_text_column
    from tercet.data.reading import read_table

    table = read_table(data, split, header=header)
    column = find_text_column(table.columns, table.source, text_column)
    texts = check_texts(table.columns[column], table.source, table.lines)
    encoder = load_model(model, device=device, trust_remote_code=trust_remote_code)
    embeddings = encoder.encode(
        texts,
        prompt_name,
        batch_size=batch_size,
        show_progress_bar=shows_progress(quiet),
        normalize_embeddings=normalize,
    )
    with atomic_file(output, overwrite=overwrite) as partial:
        _write(partial, texts, embeddings)
    dim = embeddings.shape[1]
    print_note(f"{len(texts)} embeddings of dimension {dim} written to {output}")
    finish(["python", "-c", _reading(output)])


def _reading(output: Path) -> str:
    """Return a line of Python that reads the written file."""
    if output.suffix == ".npy":
        return f"import numpy; print(numpy.load({str(output)!r}).shape)"
    return f"from pyarrow import parquet; print(parquet.read_table({str(output)!r}))"


def _write(path: Path, texts: list[str], embeddings: object) -> None:
    import numpy as np

    array = np.ascontiguousarray(embeddings)
    if path.suffix == ".npy":
        # `np.save` reports no error if the last 4 KiB do not fit on the disk; a Python file does.
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
            file.write(array.data)
        return
    import pyarrow as pa
    from pyarrow import parquet

    vectors = pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])
    parquet.write_table(pa.table({"text": texts, "embedding": vectors}), path)
