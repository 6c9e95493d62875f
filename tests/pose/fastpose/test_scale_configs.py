"""Scale-normalised configs: no size is lost between their ranges, and their tests run."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope

from mmext.pose.fastpose.scale_tta import ScaleNormalizedTTA
from mmext.pose.fastpose.scale_views import uncovered
from tests.contract import pose
from tests.contract.parts import ROOT
from tests.pose.fastpose import files

CONFIGS = sorted((ROOT / "configs/pose/fastpose").glob("*sifp*.py"))
BASES = [ROOT / "configs/_base_/datasets" / f"{name}.py" for name in ("posetrack18", "mouse_pose")]
MOUSE = next(path for path in CONFIGS if path.stem.endswith("mouse"))


def ranges_and_scales(cfg, name):
    """Of a pipeline's resizes and ranges, inside of a clip's frames as well."""
    for step in cfg:
        if step["type"] == "TransformBroadcaster":
            return ranges_and_scales(step["transforms"], name)
    (scales,) = [step["scales"] for step in cfg if step["type"] == "RandomChoiceResize"]
    (ranges,) = [step["ranges"] for step in cfg if step["type"] == "mmext.ScaleValidRange"]
    return [min(scale) for scale in scales], [tuple(one) for one in ranges]


@pytest.mark.parametrize("path", [*CONFIGS, *BASES], ids=lambda path: path.stem)
def test_no_size_is_lost(path):
    cfg = Config.fromfile(path)
    pipeline = cfg.get("snip_train_pipeline", cfg.train_dataloader.dataset.pipeline)
    scales, ranges = ranges_and_scales(pipeline, path)
    assert uncovered(scales, ranges) == []
    assert len(ranges) > 1


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_testing_has_the_scales_and_ranges_of_training(path):
    cfg = Config.fromfile(path)
    _, ranges = ranges_and_scales(cfg.train_dataloader.dataset.pipeline, path)
    assert [tuple(one) for one in cfg.tta_model.ranges] == ranges
    (views,) = [step for step in cfg.tta_pipeline if step.type == "TestTimeAug"]
    resizes = [one.scale for one in views.transforms[0]]
    (drawn,) = [
        step.scales
        for step in cfg.train_dataloader.dataset.pipeline
        if step["type"] == "RandomChoiceResize"
    ]
    assert [tuple(one) for one in resizes] == [tuple(one) for one in drawn]


@pytest.mark.parametrize("focus", [False, True])
def test_it_runs_as_tools_test_runs_it(tmp_path: Path, focus: bool):
    cfg = Config.fromfile(MOUSE)
    names = [f"left_{one}" if one < 8 else f"right_{one - 8}" for one in range(16)] + ["tail"]
    category = dict(id=1, name="mouse", keypoints=names)
    data = files.coco([files.annotation(1)], categories=[category])
    own = dict(
        cfg.test_dataloader.dataset,
        ann_file=files.written(tmp_path, data),
        data_root="",
        data_prefix=dict(img=files.pictures(tmp_path, data)),
        metainfo=dict(classes=("mouse",)),
        pipeline=cfg.tta_pipeline,
    )
    model = pose.build(MOUSE).eval()
    # Every proposal counts, so that there is something to merge.
    model.roi_head.test_cfg.score_thr = 0.0
    with DefaultScope.overwrite_default_scope("mmdet"):
        batch = pseudo_collate([DATASETS.build(own)[0]])
        tested = MODELS.build(dict(cfg.tta_model, module=model, focus=focus))
        with torch.no_grad():
            (result,) = tested.test_step(batch)
    assert isinstance(tested, ScaleNormalizedTTA)
    assert len(batch["inputs"]) == 4
    found = result.pred_instances
    assert len(found) > 0
    height, width = result.ori_shape
    limit = torch.tensor([width, height, width, height])
    assert ((found.bboxes >= 0) & (found.bboxes <= limit + 1e-3)).all()
    assert found.keypoints.shape == (len(found), 17, 2)
    assert found.embeddings.shape == (len(found), 32)
