"""The precision of matrix products belongs to the process; losses in several threads must leave it as it was."""

import threading

import pytest
import torch

from tercet.losses._engine.precision import full_precision

pytestmark = pytest.mark.skipif(
    not hasattr(torch.backends.mkldnn, "matmul"), reason="this torch has one setting for all devices"
)


@pytest.fixture(params=["none", "tf32", "bf16"])
def chosen(request):
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = request.param
    yield matmul.fp32_precision
    matmul.fp32_precision = before


def test_threads_that_overlap_restore_the_setting_of_the_user(chosen):
    matmul = torch.backends.mkldnn.matmul
    first_is_inside, first_may_leave, inside = threading.Event(), threading.Event(), []

    def first():
        with full_precision("cpu"):
            first_is_inside.set()
            first_may_leave.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    first_is_inside.wait(10)
    with full_precision("cpu"):
        first_may_leave.set()
        thread.join()
        inside.append(matmul.fp32_precision)
    assert inside == ["ieee"]
    assert matmul.fp32_precision == chosen


def test_an_error_restores_the_setting(chosen):
    with pytest.raises(RuntimeError), full_precision("cpu"), full_precision("cpu"):
        raise RuntimeError
    assert torch.backends.mkldnn.matmul.fp32_precision == chosen
