"""Read and write JSON files."""

import json
import stat
from pathlib import Path
from typing import Any

from tercet.errors import ModelError

# The largest JSON file of a model is its tokenizer, with at most some 35 MB.
MAX_JSON_BYTES = 64 * 2**20


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text. Values that are nested too deeply are a `ValueError`, as other errors are."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply to be read") from None


def read_json(path: Path, *, max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """Return the JSON object in a file of a model directory.

    Args:
        path: the file.
        max_bytes: the size above which the file is not read.

    Raises:
        ModelError: the file is missing, cannot be read, is not valid JSON, or does not contain a JSON object.
    """
    content = read_json_value(path, max_bytes=max_bytes)
    if not isinstance(content, dict):
        raise ModelError(f"{path} must contain a JSON object, but it contains a {type(content).__name__}")
    return content


def read_json_value(path: Path, *, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """Return the JSON value in a file of a model directory.

    Args:
        path: the file.
        max_bytes: the size above which the file is not read.

    Raises:
        ModelError: the file is missing, cannot be read, is too large, or is not valid JSON. FIFOs and devices are not
            read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path} is not a regular file; a model directory needs a JSON file there")
        if status.st_size > max_bytes:
            raise ModelError(
                f"{path} has {status.st_size:,} bytes; this JSON file may have at most {max_bytes >> 20:,} MiB"
            )
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path} is missing, so {path.parent} is not a complete model directory") from None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except RecursionError:
        raise ModelError(f"{path} is nested too deeply to be read") from None
    except ModelError:
        raise
    except ValueError as error:
        raise ModelError(f"{path} is not valid JSON: {error}; copy it again") from None


def check_format_version(path: Path, version: object, newest: int, what: str) -> None:
    """Raise `ModelError` if the `format_version` in a file is no version, or one that a newer Tercet wrote.

    Args:
        path: the file.
        version: the version in it.
        newest: the newest version that this Tercet reads.
        what: what the file is, such as "the file of a head".
    """
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ModelError(f"{path} is not {what}: format_version is {version!r}")
    if version > newest:
        raise ModelError(f"{path} has the format version {version}, which a newer Tercet wrote; update Tercet")


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON in UTF-8.

    A lone surrogate, as in the name of a file that is not UTF-8, is written as its JSON escape, such as `\\udcff`.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_file(path: Path, content: Any) -> None:
    """Write bytes as they are, and any other content as JSON, see `write_json`."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        write_json(path, content)
