"""Scale normalisation: what its arms share, and what each leaves out."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope
from mmengine.structures import InstanceData
from torch import nn
from torch.testing import assert_close

from dev.evidence.studies import STUDIES
from mmext import registry

STUDY = STUDIES["scale_normalised"]
SIDE = 320


@pytest.fixture(scope="module", autouse=True)
def hosts():
    registry.load_task("pose")
    init_default_scope("mmdet")


def packed(arm, seed):
    """Four pictures of ten objects each, from 10 to 300 pixels, as an arm's training sees them."""
    steps = [
        TRANSFORMS.build(step) for step in STUDY.configs[arm].train_dataloader.dataset.pipeline
    ]
    np.random.seed(seed)  # noqa: NPY002  mmcv draws from these numbers
    for _ in range(4):
        sizes = np.linspace(10, 300, 10, dtype=np.float32)
        results = dict(
            img=np.zeros((SIDE, SIDE, 3), np.uint8),
            img_shape=(SIDE, SIDE),
            ori_shape=(SIDE, SIDE),
            gt_bboxes=np.stack([0 * sizes, 0 * sizes, sizes, sizes], 1),
            gt_bboxes_labels=np.zeros(10, np.int64),
            gt_ignore_flags=np.zeros(10, bool),
        )
        for step in steps[2:]:  # those behind the reading
            results = step(results)
        yield results["data_samples"]


def test_arms_see_pictures_turned_alike_at_scales_of_their_own():
    seen = {arm: [one for seed in range(6) for one in packed(arm, seed)] for arm in STUDY.arms}
    flips = {arm: [one.flip for one in samples] for arm, samples in seen.items()}
    assert len({str(one) for one in flips.values()}) == 1
    assert 0 < sum(flips["one scale"]) < 24
    sides = {arm: [one.img_shape[0] for one in samples] for arm, samples in seen.items()}
    assert set(sides["one scale"]) == {SIDE}
    assert sides["several scales"] == sides["scale-normalised"]
    assert set(sides["several scales"]) == {448, 288, 160}
    ignored = {
        arm: sum(len(one.ignored_instances) for one in samples) for arm, samples in seen.items()
    }
    assert ignored["one scale"] == ignored["several scales"] == 0
    assert 0 < ignored["scale-normalised"] < 240


def test_several_scales_train_on_as_many_pixels_as_one():
    (draw,) = (
        step
        for step in STUDY.configs["scale-normalised"].train_dataloader.dataset.pipeline
        if step.type == "RandomChoiceResize"
    )
    assert np.mean([a * b for a, b in draw.scales]) == pytest.approx(SIDE**2, rel=0.01)


class Finds(nn.Module):
    """Stands in for a detector: an object of each size, in pixels of the picture."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def test_step(self, data):
        samples = deepcopy(data["data_samples"])
        for sample in samples:
            sample.pred_instances = self.found.clone()
        return samples


def result_of(arm, found):
    """What an arm's test makes of the same boxes at each of its scales."""
    cfg = STUDY.configs[arm]
    views = next(step for step in cfg.tta_pipeline if step.type == "TestTimeAug").transforms[0]
    samples = []
    for view in views:
        factor = view["scale"][0] / SIDE
        meta = dict(ori_shape=(SIDE, SIDE), img_shape=view["scale"], scale_factor=(factor, factor))
        samples.append([DetDataSample(metainfo=meta)])
    model = MODELS.build(
        dict(
            cfg.tta_model, module=Finds(found), data_preprocessor=dict(type="BaseDataPreprocessor")
        )
    )
    (result,) = model.test_step(dict(inputs=[[None]] * len(views), data_samples=samples))
    return result.pred_instances, len(views)


def test_one_scale_tests_as_plain_testing_does_and_ranges_lose_no_size():
    sides = torch.tensor([10.0, 30, 60, 100, 200, 300])
    zero = torch.zeros(6)
    found = InstanceData(
        bboxes=torch.stack([zero, zero, sides, sides], 1),
        scores=torch.linspace(0.9, 0.4, 6),
        labels=torch.zeros(6, dtype=torch.long),
    )
    for arm, scales in {"one scale": 1, "several scales": 3, "scale-normalised": 3}.items():
        result, views = result_of(arm, found)
        assert views == scales
        assert_close(result.bboxes, found.bboxes)  # each once, though several scales see it
        assert_close(result.scores, found.scores)
