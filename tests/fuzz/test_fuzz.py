"""A few cases of each fuzzer, with fixed seeds. `make fuzz` runs many more."""

import time

import pytest

from tests.fuzz import outcome
from tests.fuzz.areas import AREAS
from tests.fuzz.outcome import Area, run_case

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


@pytest.mark.slow
def test_a_case_that_hangs_is_a_finding_although_it_catches_exceptions(tmp_path, monkeypatch):
    def case(state, rng, folder):
        try:
            time.sleep(30)
        except Exception:
            return "the library has turned it into a refusal"

    monkeypatch.setattr(outcome, "SECONDS", 0.2)
    result = run_case(Area("slow", lambda folder: None, case), None, 0, tmp_path / "case")
    assert (result.ending, result.text) == ("finding", " → still running after 0.2 seconds")
