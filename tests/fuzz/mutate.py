"""Change files and JSON values at random."""

import json
import os
import random
from pathlib import Path
from typing import Any

ODD_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2, 3, 1.5, 1e308, 10**12, float("nan"), "", "x", "32", "\x1b[31mred\x1b[0m", "../../x",
    "/etc/passwd", [], {}, ["a"], [1, 2], {"a": 1}, [[]], "\u202e",
]  # fmt: skip


def break_file(path: Path, rng: random.Random) -> str:
    """Damage or replace one file, and return what was done."""
    done = rng.choice(["remove", "empty", "shorten", "flip", "folder", "fifo", "dangling link", "text", "loop"])
    content = path.read_bytes()
    path.unlink()
    if done == "empty":
        path.write_bytes(b"")
    elif done == "shorten":
        path.write_bytes(content[: rng.randrange(len(content) or 1)])
    elif done == "flip":
        flipped = bytearray(content)
        for _ in range(rng.choice([1, 3, 20])):
            if flipped:
                flipped[rng.randrange(min(len(flipped), 4000))] = rng.randrange(256)
        path.write_bytes(bytes(flipped))
    elif done == "folder":
        path.mkdir()
    elif done == "fifo":
        os.mkfifo(path)
    elif done == "dangling link":
        path.symlink_to("nowhere")
    elif done == "loop":
        path.symlink_to(path.name)
    elif done == "text":
        path.write_bytes(
            rng.choice([b"null", b"[]", b"3", b'"text"', b"{", b"[" * 100_000, b"\xff\xfe", b"{}", b"\x80\x02."])
        )
    return f"{done} {path.name}"


def places(content: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in a JSON document."""
    if isinstance(content, dict):
        return [found for key in content for found in [(*prefix, key), *places(content[key], (*prefix, key))]]
    if isinstance(content, list):
        return [found for n, item in enumerate(content[:50]) for found in [(*prefix, n), *places(item, (*prefix, n))]]
    return []


def break_json(path: Path, rng: random.Random) -> tuple[str, Any]:
    """Change or remove one value of a JSON file; return what was done, and the top-level key."""
    content = json.loads(path.read_text(encoding="utf-8"))
    found = places(content)
    if not found:
        return f"nothing in {path.name}", None
    place = rng.choice(found)
    holder = content
    for key in place[:-1]:
        holder = holder[key]
    if rng.random() < 0.2:
        del holder[place[-1]]
        done = "remove"
    else:
        holder[place[-1]] = rng.choice(ODD_VALUES)
        done = f"set to {holder[place[-1]]!r}"
    path.write_text(json.dumps(content), encoding="utf-8")
    return f"{path.parent.name}/{path.name} {'.'.join(map(str, place))}: {done}", place[0]
