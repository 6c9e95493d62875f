"""FastPose on videos: mmdet's own test_tracking.py, training on clips, and what cannot work."""

import json
import runpy
import sys
from pathlib import Path

import mmdet
import pytest
import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import nn

from mmext.errors import BadInputError
from mmext.pose.fastpose.video_model import FastPose
from mmext.registry import MODELS
from tests.pose.fastpose import files, nets

SCRIPT = Path(mmdet.__file__).parent / ".mim/tools/test_tracking.py"
PREPROCESSOR = dict(type="mmdet.TrackDataPreprocessor", pad_size_divisor=32)
TRACKER = dict(type="mmext.OcclusionAwareTracker")


@MODELS.register_module()
class KnowsTheFile(nn.Module):
    """A detector that finds what the file says, each person's looks being its identity."""

    roi_head = None

    def predict(self, inputs, samples, rescale=True):
        for sample in samples:
            people = sample.metainfo["instances"]
            points = torch.tensor([one["keypoints"].tolist() for one in people])
            sample.pred_instances = InstanceData(
                bboxes=torch.tensor([one["bbox"] for one in people], dtype=torch.float),
                scores=torch.ones(len(people)),
                labels=torch.zeros(len(people), dtype=torch.long),
                keypoints=points[..., :2],
                keypoint_scores=(points[..., 2] > 0).float(),
                embeddings=torch.eye(4)[[one["track_id"] for one in people]],
            )
        return samples


def config(folder: Path) -> Path:
    """A config of two small videos of PoseTrack, whose tracks pass 999."""
    first, second = files.posetrack((0, 1, 2, 5)), files.posetrack((7, 8), video="b", first_id=50)
    for one in second["annotations"]:
        one["track_id"] += 2
    for key in ("images", "annotations"):
        first[key] += second[key]
    load = [dict(type="LoadImageFromFile"), dict(type="mmext.LoadPoseAnnotations", with_bbox=True)]
    data = dict(
        type="mmext.PoseVideoDataset",
        ann_file=files.written(folder, first),
        data_prefix=dict(img_path=files.pictures(folder / "pictures", first)),
        test_mode=True,
        pipeline=[
            dict(type="TransformBroadcaster", transforms=load),
            dict(type="mmext.PackPoseTrackInputs"),
        ],
    )
    cfg = Config(
        dict(
            default_scope="mmdet",
            model=dict(
                type="mmext.FastPose",
                detector=dict(type="mmext.KnowsTheFile"),
                tracker=TRACKER,
                data_preprocessor=PREPROCESSOR,
            ),
            test_dataloader=dict(
                batch_size=1,
                num_workers=0,
                sampler=dict(type="TrackImgSampler"),
                dataset=data,
            ),
            test_evaluator=[
                dict(type="mmext.PoseTrackMetric"),
                dict(type="mmext.PoseHOTAMetric"),
            ],
            test_cfg=dict(type="TestLoop"),
            work_dir=str(folder / "work"),
            visualizer=dict(type="TrackLocalVisualizer", vis_backends=[]),
        )
    )
    cfg.dump(folder / "config.py")
    return folder / "config.py"


@pytest.mark.parametrize("sampler", ["TrackImgSampler", "DefaultSampler"])
def test_mmdet_s_own_script_tracks_and_scores(tmp_path, monkeypatch, sampler):
    command = ["test_tracking.py", str(config(tmp_path)), "--work-dir", str(tmp_path / "work")]
    more = ["--cfg-options", f"test_dataloader.sampler.type={sampler}"]
    if sampler == "DefaultSampler":
        more.append("test_dataloader.sampler.shuffle=False")
    monkeypatch.setattr(sys, "argv", command + more)
    with DefaultScope.overwrite_default_scope("mmdet"):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    (told,) = [json.loads(one.read_text()) for one in (tmp_path / "work").glob("*/*.json")]
    assert told["posetrack/MOTA"] == told["posetrack/MOTA_all_frames"] == 100
    assert told["posetrack/HOTA"] == pytest.approx(100)
    assert told["posetrack/points_left_out"] == 0


def clips(count: int = 1, frames: int = 2) -> dict:
    """A batch of clips with one person a frame."""
    torch.manual_seed(1)
    samples = []
    for _ in range(count):
        clip = TrackDataSample()
        clip.video_data_samples = [frame(number) for number in range(frames)]
        clip.set_metainfo(dict(key_frames_inds=list(range(frames)), ref_frames_inds=[]))
        samples.append(clip)
    return dict(inputs=[torch.rand(frames, 3, 64, 64) * 255] * count, data_samples=samples)


def frame(number: int) -> DetDataSample:
    size = dict(img_shape=(64, 64), ori_shape=(64, 64), scale_factor=(1.0, 1.0))
    one = DetDataSample(metainfo=dict(frame_id=number, video_id=0, **size))
    one.gt_instances = InstanceData(
        bboxes=torch.tensor([[8.0, 8, 40, 56]]),
        labels=torch.zeros(1, dtype=torch.long),
        keypoints=torch.rand(1, 17, 2) * 30 + 8,
        keypoints_visible=torch.full((1, 17), 2),
        instances_ids=torch.tensor([3]),
    )
    one.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4))
    return one


@pytest.fixture(scope="module")
def model() -> FastPose:
    cfg = nets.config(**nets.BRANCHES)
    cfg.pop("data_preprocessor")
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmdet"):
        return MODELS.build(
            dict(
                type="mmext.FastPose",
                detector=cfg,
                tracker=dict(**TRACKER, birth_score=0.0, low_score=0.0, gates=()),
                data_preprocessor=PREPROCESSOR,
            )
        )


def test_all_frames_of_all_clips_are_learned_from(model):
    batch = model.data_preprocessor(clips(2), training=True)
    losses = model.train()(**batch, mode="loss")
    assert {"loss_cls", "loss_keypoint", "loss_visibility"} <= set(losses)
    total = sum(sum(v) if isinstance(v, list) else v for k, v in losses.items() if "loss" in k)
    total.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    pictures = [one for clip in batch["data_samples"] for one in clip.video_data_samples]
    alike = model(batch["inputs"].flatten(0, 1), pictures, mode="loss")
    assert set(alike) == set(losses)


def test_a_clip_gets_identities_and_poses(model):
    with torch.no_grad():
        (clip,) = model.eval().test_step(clips())
    found = [one.pred_track_instances for one in clip.video_data_samples]
    assert all(len(one) for one in found)
    assert found[0].keypoints.shape == (len(found[0]), 17, 2)
    # the pictures are one and the same
    assert set(found[0].instances_id.tolist()) & set(found[1].instances_id.tolist())


def test_what_cannot_work_is_told_in_a_sentence(model):
    with pytest.raises(BadInputError, match="expected one video at a time, got 2; set batch_size"):
        model.predict(torch.zeros(2, 1, 3, 32, 32), [TrackDataSample(), TrackDataSample()])
    cfg = Config.fromfile(nets.ROOT / "configs/_base_/models/retinanet_r50_fpn.py").model
    cfg.backbone.update(depth=18, base_channels=8, init_cfg=None)
    cfg.neck.update(in_channels=[8, 16, 32, 64])
    with (
        DefaultScope.overwrite_default_scope("mmdet"),
        pytest.raises(BadInputError, match=r"expected one with a roi_head, .* got RetinaNet"),
    ):
        FastPose(cfg)
    alone = FastPose(dict(type="mmext.KnowsTheFile"))
    with pytest.raises(BadInputError, match="expected a tracker for predictions, got none"):
        alone.predict(torch.zeros(1, 1, 3, 32, 32), [TrackDataSample()])
