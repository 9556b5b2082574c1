"""The fuzzers by name."""

from tests.fuzz import checkpoints, data_files, embeddings, model_folders, output_folders
from tests.fuzz.outcome import Area

AREAS: dict[str, Area] = {
    module.AREA.name: module.AREA for module in (model_folders, checkpoints, data_files, output_folders, embeddings)
}
