"""How the contract suite drives a detector with keypoints and identities, alone or on videos.

mmdet's way, and more: a model of videos sees each picture as a clip of one frame.
"""

import copy

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import Tensor, nn

from tests.contract import detection
from tests.contract.detection import check_predictions, why_not_bf16  # noqa: F401  as there
from tests.contract.parts import built


def build(path, *, init: bool = True) -> nn.Module:
    """The model of a config, ready to train; ``init=False`` leaves its weights as they are made."""
    cfg = Config.fromfile(path)
    detection.lessen(cfg.model.get("detector", cfg.model))
    return built(cfg, MODELS, init=init)


def detector_of(model: nn.Module) -> nn.Module:
    """The detector of a model of videos, or the model itself."""
    return getattr(model, "detector", model)


def num_classes(model: nn.Module) -> int:
    """Classes that the model tells apart."""
    return detection.num_classes(detector_of(model))


def image_size(model: nn.Module) -> tuple[int, int]:
    """A small size that the model takes."""
    return detection.image_size(detector_of(model))


def two_rank_batch(model: nn.Module) -> dict | None:
    """As in detection: None for a second stage, which draws its samples at random."""
    return detection.two_rank_batch(detector_of(model))


def loss(model: nn.Module, data: dict) -> Tensor:
    """The sum that is trained on; what is drawn at random is the same in every call."""
    torch.manual_seed(0)
    raw = model(**model.data_preprocessor(as_seen_by(model, data), training=True), mode="loss")
    return model.parse_losses(raw)[0]


def predictions(model: nn.Module, data: dict) -> list[Tensor]:
    """Boxes and scores of each picture."""
    model.eval()
    found: list[InstanceData] = []
    with torch.no_grad():
        for one in _one_by_one(data):
            seen = model.data_preprocessor(as_seen_by(model, one))
            (result,) = model(**seen, mode="predict")
            if isinstance(result, TrackDataSample):
                result = result.video_data_samples[0]
                result.pred_instances = result.pred_track_instances
            found.append(result.pred_instances)
    model.train()
    return [x for one in found for x in (one.bboxes, one.scores)]


def _one_by_one(data: dict) -> list[dict]:
    pictures = range(len(data["inputs"]))
    return [{key: values[i : i + 1] for key, values in data.items()} for i in pictures]


def as_seen_by(model: nn.Module, data: dict) -> dict:
    """The batch with as many points as the model has; for a model of videos, as clips."""
    head = detector_of(model).roi_head.keypoint_head
    number = head.num_keypoints if head is not None else 17
    samples = copy.deepcopy(data["data_samples"])
    for sample in samples:
        for instances in (sample.gt_instances, sample.ignored_instances):
            instances.keypoints = instances.keypoints[:, :number]
            instances.keypoints_visible = instances.keypoints_visible[:, :number]
    if detector_of(model) is model:
        return dict(inputs=data["inputs"], data_samples=samples)
    clips = [image[None] for image in data["inputs"]]
    return dict(inputs=clips, data_samples=[clip_of(sample) for sample in samples])


def clip_of(sample: DetDataSample) -> TrackDataSample:
    """A clip of one frame, which begins a video."""
    sample.set_metainfo(dict(frame_id=0, video_id=sample.img_id))
    clip = TrackDataSample(metainfo=dict(key_frames_inds=[0], ref_frames_inds=[]))
    clip.video_data_samples = [sample]
    return clip


def batch(
    counts, size=(96, 128), *, ignored=False, num_classes=1, seed=0, num_keypoints=17
) -> dict:
    """Boxes as in detection, each with random points inside it and an identity."""
    data = detection.batch(counts, size, ignored=ignored, num_classes=num_classes, seed=seed)
    g = torch.Generator().manual_seed(seed + 1)
    for sample in data["data_samples"]:
        for instances in (sample.gt_instances, sample.ignored_instances):
            add_points(instances, num_keypoints, g)
    return data


def add_points(instances: InstanceData, num_keypoints: int, g: torch.Generator) -> None:
    """Give each box points, their visibility (0, 1, 2) and an identity, 0 among them."""
    corner, extent = instances.bboxes[:, None, :2], _extent(instances.bboxes)
    places = torch.rand(len(instances), num_keypoints, 2, generator=g)
    instances.keypoints = corner + places * extent
    instances.keypoints_visible = torch.randint(0, 3, places.shape[:2], generator=g)
    instances.instances_ids = torch.arange(len(instances))


def _extent(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2])[:, None]
