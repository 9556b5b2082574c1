"""A few cases of each fuzzer, with fixed seeds. `make fuzz` runs many more."""

import pytest

from tests.fuzz.areas import AREAS
from tests.fuzz.outcome import run_case

_CASES = {"model_folders": 40, "checkpoints": 8, "data_files": 150, "output_folders": 12, "embeddings": 150}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", AREAS)
def test_no_case_is_wrong_without_an_error(name, tmp_path):
    state = AREAS[name].prepare(tmp_path / "shared")
    results = [run_case(AREAS[name], state, seed, tmp_path / str(seed)) for seed in range(_CASES[name])]
    findings = [f"{result.area}, seed {result.seed}: {result.text}" for result in results if result.ending == "finding"]
    assert not findings, "\n".join(findings)
    # A fuzzer whose cases are all refused, or all right, tests nothing.
    assert {result.ending for result in results} == {"right", "refused"}
