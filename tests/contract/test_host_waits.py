"""Training waits for a GPU no more often than its host, and a few times for what ours must know.

Counted for one step, on the CPU, at the line that waits (:func:`mmext.measure.host_waits`); mmcv's
operators count as the host's, who calls them.
"""

import copy
from pathlib import Path

import pytest

import mmext
from mmext.measure import host_waits
from tests.contract.parts import host_of, name_of, small_configs

PACKAGE = f"{Path(mmext.__file__).parent}/"
MOST = 3  # a step: which samples are positive, and what the sums over all ranks are divided by


@pytest.mark.parametrize("path", small_configs(), ids=name_of)
def test_a_step_waits_seldom_in_our_lines(path):
    host = host_of(path)
    model = host.build(path)
    data = host.batch(counts=(4, 3))
    # what the first step alone does does not count
    host.loss(model, copy.deepcopy(data)).backward()
    model.zero_grad(set_to_none=True)
    found = host_waits(lambda: host.loss(model, data).backward())
    assert found, "the count found nothing, not even the host's own"
    ours = [str(wait).removeprefix(PACKAGE) for wait in found if wait.file.startswith(PACKAGE)]
    ours = [line for line in ours if not line.startswith("ops/")]
    stages = getattr(getattr(model, "roi_head", None), "num_stages", 1)
    assert len(ours) <= MOST * stages, "\n".join(ours)
