"""Under fp16 autocast with a loss scale our parts give the gradients that they give in float32."""

import pytest
import torch

from tests.contract.half_precision import calls_in_half, faults
from tests.contract.parts import name_of, small_configs


@pytest.mark.parametrize("path", small_configs(), ids=name_of)
def test_gradients_with_a_loss_scale_are_those_of_float32(path):
    try:
        calls = calls_in_half(path, "cpu", torch.float16)
    except (RuntimeError, TypeError) as error:
        if "Half" not in str(error) and "Float16" not in str(error):
            raise
        pytest.skip(f"the host has an operator without fp16 on CPUs: {error}")
    found = [fault for call in calls for fault in faults(call, torch.float16)]
    assert not found, found
