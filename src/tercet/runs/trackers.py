"""The experiment trackers that a run can report to, and a check that they are installed. It imports no torch.

`tercet.runs.tracking` runs them.
"""

import importlib.util

from tercet.errors import DataError, did_you_mean, listed

# For each tracker of `transformers`: its modules, one of which must exist, and the package to install.
TRACKERS: dict[str, tuple[tuple[str, ...], str]] = {
    "tensorboard": (("tensorboard", "tensorboardX"), "tensorboard"),
    "wandb": (("wandb",), "wandb"),
    "mlflow": (("mlflow",), "mlflow"),
    "trackio": (("trackio",), "trackio"),
    "comet_ml": (("comet_ml",), "comet_ml"),
    "clearml": (("clearml",), "clearml"),
    "codecarbon": (("codecarbon",), "codecarbon"),
    "dvclive": (("dvclive",), "dvclive"),
    "swanlab": (("swanlab",), "swanlab"),
    "neptune": (("neptune",), "neptune"),
    "dagshub": (("dagshub",), "dagshub"),
    "azure_ml": (("azureml.core",), "azureml-core"),
    "flyte": (("flytekit",), "flytekit"),
}


def tracker_names(report_to: str | None) -> list[str]:
    """Return the names in `report_to`, such as `["tensorboard", "wandb"]` for `"tensorboard,wandb"`.

    None and `"none"` are no tracker.
    """
    names = [name.strip().lower() for name in (report_to or "none").split(",")]
    return [] if names == ["none"] else list(dict.fromkeys(names))


def check_trackers(report_to: str | None) -> None:
    """Raise `DataError` if a name in `report_to` is unknown, or its package is not installed."""
    for name in tracker_names(report_to):
        if name not in TRACKERS:
            meant = did_you_mean(name, TRACKERS)
            raise DataError(f"unknown report_to {name!r}; {meant}choose from {listed(TRACKERS, limit=20)}")
        modules, package = TRACKERS[name]
        if not any(_exists(module) for module in modules):
            raise DataError(
                f"report_to={name!r} needs the package {package}, which is not installed; run pip install {package}"
            )


def _exists(module: str) -> bool:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # of the parent package
        return False
    # A folder without __init__.py, such as the folder `wandb` of earlier runs, is no package.
    return spec is not None and spec.origin is not None
