"""Print the results of `gpu.py`."""

from typing import Any

from common import print_table

# The goals: how many times as fast as sentence-transformers a step is.
GOALS = {
    "minilm banking77 64 bf16": 2, "minilm banking77 256 bf16": 3, "minilm clinc150 256 bf16": 3,
    "mpnet banking77 64 bf16": 1.5, "mpnet banking77 256 bf16": 2, "minilm banking77 256 float32": 1.5,
}  # fmt: skip
LIBRARIES = ("sentence-transformers", "tercet")


def tables(report: dict[str, Any]) -> None:
    """Print the results."""
    for part in ("steps", "trainer"):
        rows = []
        for key, found in report.get(part, {}).items():
            if not isinstance(found, dict) or "times_as_fast" not in found:
                print(part, key, found)
                continue
            peer, mine = (found[library] for library in LIBRARIES)
            cells = [
                f"{peer['step_ms']:.1f} / {mine['step_ms']:.1f} ms",
                f"{found['times_as_fast']:.2f}",
                GOALS.get(key),
            ]
            if "first_10_ms" in mine:
                cells += [
                    f"{peer['first_10_ms']:.0f} / {mine['first_10_ms']:.0f} ms",
                    f"{peer['wall_s'] / mine['wall_s']:.2f}",
                ]
            peaks = f"{mine['peak_mib'] / peer['peak_mib']:.2f}" if "peak_mib" in mine else "–"
            rows.append([key, *cells, peaks])
        first = ["first 10 steps", "wall, times as fast"] if part == "trainer" else []
        header = [part, "theirs / ours", "times as fast", "goal", *first, "memory, ours / theirs"]
        print_table(header, rows, f"{part}: sentence-transformers / Tercet") if rows else print(report.get(part))
    for key, found in report.get("encode", {}).items():
        if isinstance(found, dict):
            print(f"encode | {key}: {found['per_second']:,.0f} sentences per second")
    for key, found in report.get("ahead", {}).items():
        if isinstance(found, dict):
            speed = f"{found['per_second']:,.0f} per second" if "per_second" in found else f"{found['step_ms']:.1f} ms"
            print(f"ahead | {key}: {speed}")
    for key, case in report.get("graphs", {}).items():
        for name, found in case.items() if isinstance(case, dict) else ():
            print(f"graphs | {key}, {name}: {found}")
    for key, found in report.get("losses", {}).items():
        if isinstance(found, dict):
            print(f"loss | {key}: " + ", ".join(
                f"{library} {value['ms']:.2f} ms, {value['peak_mib'] or 0:.0f} MiB" for library, value in found.items()
            ))  # fmt: skip
    for library in LIBRARIES:
        if library in report.get("profile", {}):
            found = report["profile"][library]
            counts = {name: round(number, 1) for name, number in found["per_step"].items() if number}
            print(f"profile | {library}: {found['gpu_ms']:.1f} ms on the GPU, {counts}")
            for section, ms in found["sections_ms"].items():
                print(f"section | {library} {section}: {ms['launched']:.1f} ms launched, {ms['computed']:.1f} computed")
    print("waits |", report.get("profile", {}).get("tercet", {}).get("waits"))
