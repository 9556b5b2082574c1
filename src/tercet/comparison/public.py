"""`compare`: from data that a user names to a recommended loss, with its model and the record of all runs.

It checks arguments and data before it imports torch, so that errors, like the help of the command, are quick.
"""

import functools
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tercet._distributed import launched_world_size
from tercet.comparison.plan import Plan, parse_grid
from tercet.errors import DataError
from tercet.records import ComparisonRecord
from tercet.runs.settings import (
    DEFAULT_EVAL_FRACTION,
    DEFAULT_MODEL,
    RunSettings,
    check_eval_fraction,
    check_value,
)

if TYPE_CHECKING:
    import torch
    from datasets import Dataset


def compare(
    data: "str | Path | Dataset",
    output: str | Path,
    *,
    grid: Iterable[str] = (),
    seeds: int = 3,
    minutes: float | None = None,
    settings: RunSettings | None = None,
    model: str | Path = DEFAULT_MODEL,
    eval_data: "str | Path | Dataset | None" = None,
    eval_fraction: float = DEFAULT_EVAL_FRACTION,
    text_column: str | None = None,
    label_column: str | None = None,
    split: str = "train",
    device: "str | torch.device | None" = None,
    packing: bool = True,
    trust_remote_code: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    report_progress: Callable[[str], None] | None = None,
) -> ComparisonRecord:
    """Compare losses, margins and distances under one budget with several seeds, and recommend one.

    Each run is a subprocess, so a script that calls this needs `if __name__ == "__main__":`.

    Args:
        data: a file (.csv, .tsv, .jsonl or .parquet), the name of a data set on the hub, or a `datasets.Dataset` with
            the columns `sentence` and `label`.
        output: the folder for `compare.json` and the model of the recommended variant.
        grid: entries `loss=…`, `margin=…` or `distance=…`, with commas between the values; all combinations are
            compared. By default, all losses for labelled sentences.
        seeds: number of runs of each variant; the seeds count up from `settings.seed`.
        minutes: the budget of a run in minutes of training; None takes `max_steps` or `epochs` of the settings.
        settings: of all runs; `loss`, `margin` and `distance` come from `grid` instead.
        model: a folder, a name on the hub, or `"bundled"`.
        eval_data: data to evaluate on, of the same kind as `data`; None holds out a part of `data`.
        eval_fraction: the fraction of each label to hold out if there is no `eval_data`.
        text_column: the column of sentences in a file; None takes the one with a usual name.
        label_column: the column of labels in a file; None takes the one with a usual name.
        split: the split of a data set on the hub.
        device: where to train; None uses a GPU if there is one.
        packing: whether to compute batches without padding if the architecture allows it.
        trust_remote_code: whether to run Python code that comes with the model.
        resume: continue the comparison in `output`.
        overwrite: start a new comparison, whatever is in `output`.
        report_progress: called with a line of text after each run; None logs it.

    Raises:
        DataError: an argument or the data cannot be used, or every run failed.
        KeyboardInterrupt: Ctrl-C; `resume` continues.

    Example:
        ```python
        from tercet.comparison import compare

        if __name__ == "__main__":
            record = compare("train.csv", "compared", grid=["margin=0.1,0.3"], seeds=3)
            print(record.recommendation.reason)
        ```
    """
    settings, output = settings or RunSettings(), Path(output)
    variants = parse_grid(grid)
    variants[0].apply_to(settings).check()
    check_eval_fraction(eval_fraction)
    check_value("seeds", seeds, seeds > 0, "at least 1")
    check_value(
        "seeds", seeds, seeds <= 2**32 - settings.seed, f"at most {2**32 - settings.seed} with seed={settings.seed}"
    )
    check_value("minutes", minutes, minutes is None or 0 < minutes < math.inf, "above 0")
    if resume and overwrite:
        raise DataError("resume and overwrite exclude each other; pass one of them")
    if minutes is not None and settings.max_steps > 0:
        raise DataError("minutes and max_steps exclude each other; pass one of them")
    if launched_world_size() > 1:
        raise DataError("a comparison starts processes itself; start it without torchrun")

    from tercet.data.loading import Columns  # imports NumPy
    from tercet.runs.data import load_run_data, name_of

    train_data, evaluation = load_run_data(
        data,
        eval_data,
        eval_fraction,
        Columns(text_column, label_column, split),
        triplets=False,
        seed=settings.seed,
    )
    if evaluation is None:
        raise DataError("no row is held out, so nothing can be compared; pass eval_data, or more data")

    from tercet.comparison.run import logger, run_comparison  # imports torch, which takes seconds
    from tercet.encoder.loading import load_model

    extra_settings = {
        "model": str(model),
        "data": name_of(data),
        "eval_data": None if eval_data is None else name_of(eval_data),
        "eval_fraction": eval_fraction if eval_data is None else None,
        "packing": packing,
    }
    first = settings.seed
    return run_comparison(
        functools.partial(load_model, str(model), device=device, trust_remote_code=trust_remote_code, packing=packing),
        train_data,
        evaluation,
        output,
        Plan(variants=variants, seeds=tuple(range(first, first + seeds)), settings=settings, minutes=minutes),
        extra_settings=extra_settings,
        resume=resume,
        overwrite=overwrite,
        report_progress=report_progress or logger.info,
    )
