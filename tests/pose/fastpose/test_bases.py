"""The bases of data sets: each pipeline takes a generated file of its kind to a data sample."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import set_random_seed

from tests.contract.parts import ROOT
from tests.pose.fastpose import files

BASES = ROOT / "configs/_base_/datasets"
NAMES = ("coco_keypoints", "mouse_pose", "mouse_video", "posetrack17", "posetrack18", "posetrack21")


def file_for(base):
    """A file of a base's kind, and its folder's key."""
    if "posetrack" in base:
        return files.posetrack((0, 4, 8)), "img_path"
    if base == "coco_keypoints":
        return files.coco([files.annotation(1), files.annotation(2)]), "img"
    names = [f"paw{one}_{view}" for view in ("top", "bot") for one in ("1LH", "2LF", "3RF", "4RH")]
    names += [f"other{one}" for one in range(9)]
    category = dict(id=1, name="mouse", keypoints=names)
    data = files.coco([files.annotation(1)], categories=[category])
    return data, "img_path" if base == "mouse_video" else "img"


@pytest.mark.parametrize("base", NAMES)
def test_each_pipeline_runs(tmp_path: Path, base: str):
    cfg = Config.fromfile(BASES / f"{base}.py")
    data, key = file_for(base)
    path = files.written(tmp_path, data)
    prefix = {key: files.pictures(tmp_path, data)}
    of_videos = key == "img_path"
    number = 15 if "posetrack" in base else 17
    pipelines = [name for name in cfg if name.endswith("pipeline")]
    assert {"train_pipeline", "test_pipeline"} <= set(pipelines)
    for name in pipelines:
        set_random_seed(0)
        loader = cfg.test_dataloader if name == "test_pipeline" else cfg.train_dataloader
        own = dict(loader.dataset) | dict(ann_file=path, data_root="", data_prefix=prefix)
        with DefaultScope.overwrite_default_scope("mmdet"):
            loaded = DATASETS.build(own | dict(pipeline=cfg[name]))
            sample = loaded[0]["data_samples"]
        for frame in sample if of_videos else [sample]:
            objects = len(frame.gt_instances) + len(frame.ignored_instances)
            assert objects == len(data["annotations"]) / (3 if "posetrack" in base else 1)
            assert frame.gt_instances.keypoints.shape[1:] == (number, 2)
            assert ("scale_index" in frame) == name.startswith("snip")
            assert len(frame.sigmas) == number
