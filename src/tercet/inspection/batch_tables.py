"""The tables of batches and of suggested settings."""

from collections.abc import Iterable

from tercet._display import shown_beside
from tercet.inspection.batches import MARGINS, TARGET_ACTIVE, BatchSummary, Suggestion
from tercet.inspection.table import Column, InspectionTable, first_rows_table


def active_fractions(batches: BatchSummary) -> list[tuple[str, str, list[float]]]:
    """Return one curve for each distance and each of "all" (triplets) and "semi-hard".

    A curve consists of the name of the distance, "all" or "semi-hard", and the active fraction at each margin.
    """
    curves = []
    for distance in dict.fromkeys(fraction.distance for fraction in batches.active):
        fractions = [fraction for fraction in batches.active if fraction.distance == distance]
        curves.append((distance, "all", [fraction.all_triplets for fraction in fractions]))
        curves.append((distance, "semi-hard", [fraction.semi_hard for fraction in fractions]))
    return curves


def batches_table(batches: BatchSummary) -> InspectionTable:
    """Return the active fractions of a batch by distance and margin."""
    rows = [
        (distance if kind == "all" else "", kind, *(shown_beside(value, TARGET_ACTIVE, ".0%") for value in fractions))
        for distance, kind, fractions in active_fractions(batches)
    ]
    mean = f"{batches.labels:.1f} labels and {batches.valid_triplets:,.0f} triplets"
    return first_rows_table(
        "batches",
        "Active triplets in a batch",
        f"A batch of {batches.batch_size} has {mean} on average; fraction of triplets with a loss above 0, by margin",
        (Column("distance"), Column("triplets"), *(Column(f"{margin:g}", "number") for margin in MARGINS)),
        rows,
        summary=f"{batches.num_batches:,} of {batches.batches_per_epoch:,} batches of an epoch measured, each "
        f"with {batches.batch_size} sentences. A batch has {mean} on average. The plot shows the fraction of active "
        "triplets (loss above 0) at each margin.",
    )


def settings_table(suggestions: Iterable[Suggestion]) -> InspectionTable:
    """Return the suggested settings, each with its reason."""
    rows = [(found.setting, _text(found.value), found.reason) for found in suggestions]
    columns = (Column("setting", "setting"), Column("value"), Column("reason", "reason"))
    return first_rows_table("settings", "Suggested settings", "Suggested settings for tercet train", columns, rows)


def _text(value: object) -> str:
    """Return a setting as it is passed to a command; a list with commas."""
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)
