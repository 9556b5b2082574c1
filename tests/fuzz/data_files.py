"""Read labelled data from odd but valid files, and from damaged files.

A valid file gives its rows, or is refused. A damaged file gives rows that a second reader finds too, or is refused.
"""

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tercet.data.loading.labelled import load_labelled
from tercet.data.reading.options import ReadOptions
from tests.fuzz.mutate import break_file
from tests.fuzz.outcome import Area, CaseRandom, Finding, refusable

_WORDS = [
    "card", "login", "the", "é", "e\u0301", "支払い", "🙂", "a,b", 'say "hi"', "line\nbreak", "tab\there", "=1+1", "'",
    "\\", " lead", "trail ", "\u00a0", "\u202e", "0", "None", "nan", "x" * 2000, "\x1b[31m", "\r", ";", "|",
]  # fmt: skip
_LABELS = ["card", "login", "travel plan", "вход", "支払い", "refund/late", "a b c", "Überweisung", "no", "x-1"]


def case(_: None, rng: CaseRandom, folder: Path) -> str:
    """Write rows in a random format and read them."""
    rows = [(_text(rng), rng.choice(_LABELS[: rng.choice([2, 4, 10])])) for _ in range(rng.randrange(4, 40))]
    path, note = _write(rows, rng, folder)
    rng.note(note)
    damaged = rng.random() < 0.5
    if damaged:
        rng.note(break_file(path, rng))
    data = refusable(lambda: load_labelled(path, ReadOptions("text", "label")))
    read = list(zip(data.sentences, data.labels(), strict=True))
    expected = rows
    if damaged:
        expected = _second_reader(path)
        if expected is None:
            return "read after damage"
    for line, (got, wanted) in enumerate(zip(read, expected, strict=False)):
        if got[0].strip() != wanted[0].strip() or str(got[1]).strip() != wanted[1].strip():
            raise Finding(f"row {line} is {got!r}, expected {wanted!r}")
    if len(read) != len(expected):
        raise Finding(f"{len(read)} rows, expected {len(expected)}")
    return "the rows of the file"


def _text(rng: CaseRandom) -> str:
    text = " ".join(rng.choice(_WORDS) for _ in range(rng.randrange(1, 6)))
    return text if any(char.isalnum() for char in text) else text + "word"


def _write(rows: list[tuple[str, str]], rng: CaseRandom, folder: Path) -> tuple[Path, str]:
    kind = rng.choice(["csv", "csv", "tsv", "jsonl", "parquet"])
    path = folder / f"data.{kind}"
    extra = rng.random() < 0.4
    if kind in {"csv", "tsv"}:
        buffer = io.StringIO(newline="")
        writer = csv.writer(
            buffer,
            delimiter="," if kind == "csv" else "\t",
            quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
            lineterminator=rng.choice(["\n", "\r\n"]),
        )
        writer.writerow(["id", "text", "label"] if extra else ["text", "label"])
        writer.writerows([n, *row] if extra else row for n, row in enumerate(rows))
        encoding = rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1", "utf-32"])
        path.write_bytes(buffer.getvalue().encode(encoding, errors="replace"))
        if encoding == "latin-1":  # Other characters than those of the rows: only a refusal or ASCII is right.
            rows[:] = [tuple(part.encode("latin-1", "replace").decode("latin-1") for part in row) for row in rows]
        return path, f"{kind} in {encoding}"
    if kind == "jsonl":
        keys = [
            {"text": text, "label": label, **({"n": n} if extra and n % 3 else {})}
            for n, (text, label) in enumerate(rows)
        ]
        ascii_only = rng.random() < 0.5
        path.write_text("".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in keys), encoding="utf-8")
        return path, "jsonl"
    columns: dict[str, pa.Array] = {
        "text": pa.array([row[0] for row in rows]),
        "label": pa.array([row[1] for row in rows]),
    }
    if rng.random() < 0.3:
        columns["label"] = columns["label"].dictionary_encode()
    if extra:
        columns["when"] = pa.array([2**62] * len(rows), pa.timestamp("us"))
    pq.write_table(pa.table(columns), path)
    return path, "parquet"


def _second_reader(path: Path) -> list[tuple[str, str]] | None:
    """Return the rows of a damaged file by another reader; None if it cannot read them."""
    try:
        if path.suffix == ".parquet":
            table = pq.read_table(path, columns=["text", "label"])
            return list(zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True))
        text = path.read_text(encoding="utf-8-sig", newline="")
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in text.split("\n") if line.strip()]
            return [(row["text"], str(row["label"])) for row in rows]
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="," if path.suffix == ".csv" else "\t")
        return [(row["text"], row["label"]) for row in reader]
    except Exception:
        return None


AREA = Area("data_files", lambda folder: None, case)
