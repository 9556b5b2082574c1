"""Compare variants and save the model of the recommended one: the public function `compare`.

It checks the data and most arguments before it imports torch, which takes seconds. So errors are raised quickly.
"""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from tercet._distributed import check_launcher, launched_world_size
from tercet._events import collect_warnings
from tercet._files import expand_path
from tercet._logging import import_transformers
from tercet._nested_labels import separator_of
from tercet.comparison.files import reserves_comparison
from tercet.comparison.grid import check_is_list, models_in_grid, parse_grid, read_grid, separator_in_grid
from tercet.comparison.plan import Plan
from tercet.data.reading.options import DEFAULT_EVAL_FRACTION, FileArguments, takes_file_arguments
from tercet.encoder.names import resolve_model
from tercet.errors import DataError
from tercet.records import ComparisonRecord
from tercet.runs.limits import check_eval_fraction, check_value
from tercet.runs.settings import DEFAULT_MODEL, RunSettings, given_settings
from tercet.runs.trackers import tracker_names

if TYPE_CHECKING:
    import torch

    from tercet.data.reading.sources import Source


@reserves_comparison
@takes_file_arguments
def compare(
    data: "Source",
    output: str | Path,
    *,
    grid: Iterable[str] = (),
    seeds: int = 3,
    minutes: float | None = None,
    settings: RunSettings | None = None,
    model: str | Path | None = None,
    eval_data: "Source | None" = None,
    eval_fraction: float = DEFAULT_EVAL_FRACTION,
    text_column: str | None = None,
    label_column: str | Sequence[str] | None = None,
    split: str = "train",
    header: bool | None = None,
    combined_labels: str | None = None,
    similar_labels: str | None = None,
    drop_missing: bool | None = None,
    device: "str | torch.device | None" = None,
    packing: bool = True,
    trust_remote_code: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    report_progress: Callable[[str], None] | None = None,
    **reading: Unpack[FileArguments],
) -> ComparisonRecord:
    """Compare losses, encoders or settings with several seeds and the same budget per run, and recommend a variant.

    Each run is a spawned subprocess, so a script must call this inside `if __name__ == "__main__":`.

    Args:
        data: a file (.csv, .tsv, .jsonl or .parquet), the name of a data set on the hub, or a table in memory (see
            `train`), with columns of sentences and labels.
        output: the folder for `compare.json` and the model of the recommended variant.
        grid: entries such as `loss=batch-hard,batch-all`, `margin=0.1,0.3`, `model=a,b` or `epochs=1,3`. The keys are
            `model` and the names of `RunSettings`. All combinations of the values are compared. Without `margin` it is
            0.3, and without `distance` it is the one that fits to each encoder (euclidean if its embeddings have length
            1, else cosine). Without `loss`, an empty grid or one of margins and distances has all losses for labelled
            sentences; a grid with other keys has the loss of `settings`.
        seeds: number of runs of each variant. The seeds are `settings.seed`, `settings.seed` + 1 and so on.
        minutes: the budget of a run in minutes of training; None uses `max_steps` or `epochs` of `settings`.
        settings: the settings that the grid does not vary, except for the margin and the distance. `save_every`,
            `keep` and `eval_steps` are not used.
        model: a folder, a name on the hub, or `"bundled"` (the encoder of `tercet[demo]`). None is the models of
            `grid`, else `DEFAULT_MODEL`, or `"bundled"`, with a warning, if the hub cannot be reached. Models are
            loaded one at a time.
        eval_data: evaluation data of the same type as `data`. None takes the split `validation`, or else `test`, of a
            dictionary, a folder or a file with splits, and else holds out rows of `data`.
        eval_fraction: the fraction of the rows of each label to hold out if `eval_data` is None. At least one
            row must be held out.
        text_column: the name of the sentence column; None finds it by a usual name, such as `text` or `sentence`.
        label_column: the name of the label column, or of several with the levels of nested labels, the coarsest first;
            None finds it by a usual name, such as `label` or `intent`.
        split: the split to read from a data set on the hub or a dictionary of tables, for `data` and `eval_data`.
        header: whether the first line of .csv and .tsv files contains the column names; False names the columns "0",
            "1" and so on. None reads the names, unless the line looks like data.
        combined_labels: what to do with cells that contain several labels: `"keep"` uses each combination as a label,
            `"first"` uses the first label, `"drop"` leaves the rows out. None raises an error.
        similar_labels: what to do with labels that differ only in form, such as "Billing" and "billing": `"merge"` uses
            the most frequent form, `"keep"` keeps them apart. None raises an error.
        drop_missing: what to do with rows without a text or a label: None and True leave them out with a warning, False
            is an error.
        device: the device to load the model on; None uses a CUDA GPU if there is one. The trainer then moves the model
            to a GPU if there is one.
        packing: whether to compute batches without padding if the architecture allows it.
        trust_remote_code: whether to run Python code from the model's repository.
        resume: continue the comparison in `output`, if there is one.
        overwrite: start a new comparison, which replaces the one in `output`.
        report_progress: a function that is called with a line of text after each run, and with a notice if the machine
            or the library versions have changed; None logs the line.
        reading: more on how to read files: `csv_separator`, `encoding`, `split_column`, `limit`, `sample` and
            `label_file`, see `tercet.data.ReadOptions`.

    Raises:
        DataError: an argument is invalid, the data cannot be read or compared, the model cannot be loaded, `output` has
            another comparison or cannot be written, or every run failed.
        KeyboardInterrupt: Ctrl-C stopped the comparison. Continue it with `resume=True`.

    Example:
        ```python
        from tercet.comparison import compare

        if __name__ == "__main__":
            record = compare("train.csv", "compared", grid=["margin=0.1,0.3"], seeds=3)
            print(record.recommendation.reason)
        ```
    """
    check_is_list(grid)
    settings, output, grid = given_settings(settings), expand_path(output, "output"), list(grid)
    if tracker_names(settings.report_to):
        raise DataError("a comparison does not report to trackers; leave out report_to")
    grid_models = models_in_grid(grid)
    if grid_models and model is not None:
        raise DataError("`model` and the key 'model' of `grid` exclude each other; put all models into the grid")
    label_levels = separator_of(label_column, separator_in_grid(grid) or settings.label_levels)
    if "label_levels" not in read_grid(grid):
        settings = replace(settings, label_levels=label_levels)
    variants = parse_grid(grid, settings=settings)
    check_eval_fraction(eval_fraction)
    _check_budget(grid, settings, seeds, minutes)
    if resume and overwrite:
        raise DataError("resume and overwrite exclude each other; pass one of them")
    if settings.multi_label is not None:
        raise DataError(
            "a comparison takes one label per sentence; train each variant with multi_label and compare their metrics"
        )
    check_launcher()
    if launched_world_size() > 1:
        raise DataError(
            "a comparison cannot run under torchrun, because each run is a process itself; start it with python"
        )

    # By the name in the grid, or None for the one model of all variants: the folder or the name to load it from.
    models: dict[str | None, str] = {name: str(resolve_model(name, DEFAULT_MODEL)) for name in grid_models}
    models = models or {None: str(resolve_model(model, DEFAULT_MODEL))}

    from tercet.data.loading.training_data import load_training_data
    from tercet.data.reading.options import ReadOptions
    from tercet.data.reading.sources import name_of

    options = ReadOptions.of(locals())
    with collect_warnings() as warnings:
        loaded = load_training_data(data, eval_data, eval_fraction, options, triplets=False, seed=settings.seed)
    train_data, evaluation = loaded.train, loaded.evaluation
    if evaluation is None:
        raise DataError(
            "no row is held out for evaluation, so the variants cannot be compared; pass eval_data, a larger "
            "eval_fraction, or more data"
        )

    import_transformers()
    from tercet.comparison.loop import logger, run_comparison
    from tercet.encoder.devices import find_device
    from tercet.encoder.loading import load_model
    from tercet.runs.source_names import Names

    find_device(device)

    load = functools.partial(load_model, trust_remote_code=trust_remote_code, packing=packing)
    names = list(models.values())
    extra_settings = {
        "model": names if len(names) > 1 else names[0],
        "data": name_of(data),
        "eval_data": name_of(eval_data),
        "eval_fraction": eval_fraction if eval_data is None and loaded.eval_split is None else None,
        "packing": packing,
    }
    if loaded.eval_split is not None:
        extra_settings["eval_split"] = loaded.eval_split
    if "distance" not in read_grid(grid):
        from tercet.runs.margin import NUM_MEASURED, choose_margin_and_distance

        fitting = {}
        for key, name in models.items():  # One at a time, and on the CPU, because the runs need the memory of the GPU.
            first_rows = train_data[:NUM_MEASURED]["sentence"]
            fitting[key] = str(choose_margin_and_distance(RunSettings(), load(name, device="cpu"), first_rows).distance)
        variants = parse_grid(grid, fitting, settings)
    first = settings.seed
    return run_comparison(
        {key: functools.partial(load, name, device=device) for key, name in models.items()},
        train_data,
        evaluation,
        output,
        Plan(variants=variants, seeds=tuple(range(first, first + seeds)), settings=settings, minutes=minutes),
        names=Names.of(data, eval_data, loaded.held_out_rows),
        extra_settings=extra_settings,
        warnings=warnings,
        resume=resume,
        overwrite=overwrite,
        report_progress=report_progress or logger.info,
    )


def _check_budget(grid: list[str], settings: RunSettings, seeds: int, minutes: float | None) -> None:
    """Raise `DataError` if `seeds` or `minutes` are invalid, or there are two budgets of a run."""
    check_value("seeds", seeds, seeds > 0, "at least 1")
    highest = 2**32 - settings.seed
    check_value("seeds", seeds, seeds <= highest, f"at most {highest} with seed={settings.seed}")
    check_value("minutes", minutes, minutes is None or 0 < minutes < math.inf, "above 0")
    if minutes is not None and settings.max_steps > 0:
        raise DataError("minutes and max_steps exclude each other; pass one of them")
    if "epochs" in read_grid(grid) and (minutes is not None or settings.max_steps > 0):
        given = "minutes" if minutes is not None else "max_steps"
        raise DataError(f"grid: epochs are in the grid, but `{given}` is the budget of a run; leave one out")
