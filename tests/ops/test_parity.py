"""Ours equals mmcv's compiled operators, values and gradients, if it has them (make test-ops)."""

import pytest
import torch

from tests.mmcv_extension import compiled_only
from tests.ops.cases import CASES, outputs

pytestmark = compiled_only


@pytest.mark.parametrize("source", ["torch", "torchvision"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_values_and_gradients_equal_mmcvs(case, source, serve):
    if case.cuda_only and not torch.cuda.is_available():
        pytest.skip("mmcv has no kernel of it for CPUs; test_oracle compares it with a loop")
    device = "cuda" if case.cuda_only else "cpu"
    theirs = outputs(case, device=device)
    serve(source)
    ours = outputs(case, device=device)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(
            ours[name],
            value,
            rtol=1e-5,
            atol=1e-5,
            equal_nan=True,
            msg=lambda text, name=name: f"{name}: {text}",
        )
