"""Where the time of a frame goes: network, RoI heads and tracker, against three networks in a row.

    python -m dev.benchmarks.pose_latency [--frames 4] [--short-side 320] [--device cuda:0]
        prints the table; --json docs/evidence/latency_pose.json keeps it

Frames    of data/walkers/video.avi (``mmext data walkers``), one at a time
One       FastPose's network: backbone, FPN and proposals ("network"); boxes, points, visibility
          and embeddings of the boxes ("RoI heads"); the tracker
Three     the same detector without these branches; a network for the poses of its boxes (Simple
          Baseline: the same ResNet, three deconvolutions, crops of 256 x 192); a network for their
          embeddings (the same ResNet, crops of 256 x 128); the tracker
Weights   random, so the second stage is made to keep as many boxes as there are people on average,
          whatever it finds; what is found means nothing
Reads     ratios on one machine: of ResNet-18 to ResNet-50, of one network to three. Milliseconds on
          a shared machine lie, and frames a second of two machines cannot be compared
"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dev.evidence.tables import markdown
from mmext.pose.fastpose.tracks import OcclusionAwareTracks
from mmext.prepare import walkers

from .run import ROOT, machine

CONFIG = "configs/pose/fastpose/mtn_faster-rcnn_r{}_fpn_8xb2-1x_coco.py"
DEPTHS = (18, 50)
PEOPLE, POINTS, DIMS = 8, 17, 128
PARTS = ("network", "RoI heads", "pose network", "re-ID network", "tracker")
WAYS = ("one", "three")


class Clock:
    """Seconds of each part, added up over a frame."""

    def __init__(self, device: str) -> None:
        self.device, self.seconds = device, defaultdict[str, float](float)

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Count what is done within to a part."""
        self.wait()
        began = time.perf_counter()
        yield
        self.wait()
        self.seconds[part] += time.perf_counter() - began

    def wait(self) -> None:
        """Let a GPU finish."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()


def detector(depth: int, *, branches: bool) -> Any:
    """The config's model with random weights, with its branches and an embedding, or without."""
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    from mmengine.config import Config

    register_all_modules()
    cfg = Config.fromfile(str(ROOT / CONFIG.format(depth)), import_custom_modules=False).model
    cfg.backbone.init_cfg = None
    cfg.test_cfg.rcnn.update(score_thr=0.0, max_per_img=PEOPLE)
    if branches:
        cfg.roi_head.reid_head = dict(type="mmext.RoIReIDHead", num_ids=2)
    else:
        cfg.roi_head.update(keypoint_head=None, visibility_head=None)
    model = MODELS.build(cfg)
    model.init_weights()
    model.eval()
    return model


class Crops(nn.Module):
    """A ResNet on crops of boxes, and what follows it."""

    def __init__(self, depth: int, size: tuple[int, int], tail: nn.Module) -> None:
        super().__init__()
        from mmdet.models.backbones import ResNet

        self.backbone, self.size, self.tail = ResNet(depth, out_indices=(3,)), size, tail
        self.train(False)

    def forward(self, picture: Tensor, boxes: Tensor) -> Tensor:
        """Output for each box of a picture (1, 3, H, W)."""
        from mmcv.ops import RoIAlign

        rois = torch.cat([boxes.new_zeros(len(boxes), 1), boxes], 1)
        crops = RoIAlign(self.size, sampling_ratio=1)(picture, rois)
        return self.tail(self.backbone(crops)[0])


def pose_network(depth: int) -> Crops:
    """Simple Baseline's head: three deconvolutions and one map a point."""
    width, layers = 512 if depth < 50 else 2048, []
    for channels in (width, 256, 256):
        layers += [nn.ConvTranspose2d(channels, 256, 4, 2, 1), nn.BatchNorm2d(256), nn.ReLU()]
    return Crops(depth, (256, 192), nn.Sequential(*layers, nn.Conv2d(256, POINTS, 1)))


def reid_network(depth: int) -> Crops:
    """A mean over the maps and one layer."""
    width = 512 if depth < 50 else 2048
    tail = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, DIMS))
    return Crops(depth, (256, 128), tail)


def prepared(frame: np.ndarray, short_side: int, device: str) -> tuple[Tensor, Any]:
    """A frame in the network's size, and its sample."""
    from mmdet.structures import DetDataSample

    picture = torch.from_numpy(frame.copy()).permute(2, 0, 1)[None].float()
    scale = short_side / min(picture.shape[2:])
    size = [round(side * scale) for side in picture.shape[2:]]
    picture = F.interpolate(picture, size=size, mode="bilinear") / 64 - 2
    picture = F.pad(picture, (0, -size[1] % 32, 0, -size[0] % 32)).to(device)
    shape = tuple(picture.shape[2:])
    meta = dict(img_shape=tuple(size), ori_shape=frame.shape[:2], batch_input_shape=shape)
    return picture, DetDataSample(metainfo=dict(meta, scale_factor=(scale, scale)))


@torch.inference_mode()
def found_by(model: Any, picture: Tensor, sample: Any, clock: Clock) -> Any:
    """A detector's instances in pixels of the resized frame."""
    with clock.of("network"):
        features = model.extract_feat(picture)
        proposals = model.rpn_head.predict(features, [sample], rescale=False)
    with clock.of("RoI heads"):
        return model.roi_head.predict(features, proposals, [sample], rescale=False)[0]


def step(tracks: OcclusionAwareTracks, found: Any, people: tuple[Tensor, ...]) -> None:
    """Give a frame's people to the tracker, all of them sure."""
    points, visible, looks = (one.double().cpu().numpy() for one in people)
    boxes = found.bboxes.double().cpu().numpy()
    tracks.step(boxes, np.ones(len(boxes)), points, visible, looks)


@torch.inference_mode()
def measure(
    depth: int, way: str, frames: Sequence[np.ndarray], *, short_side: int, device: str = "cpu"
) -> dict[str, float]:
    """Median milliseconds of each part over all frames but the first."""
    torch.manual_seed(0)
    nets = [detector(depth, branches=way == "one").to(device)]
    if way == "three":
        nets += [net(depth).to(device) for net in (pose_network, reid_network)]
    tracks, times = OcclusionAwareTracks(), []
    for frame in frames:
        picture, sample = prepared(frame, short_side, device)
        clock = Clock(device)
        found = found_by(nets[0], picture, sample, clock)
        if way == "one":
            people = found.keypoints, found.keypoints_visible, found.embeddings
        else:
            with clock.of("pose network"):
                points, visible = of_maps(nets[1](picture, found.bboxes), found.bboxes)
            with clock.of("re-ID network"):
                people = points, visible, nets[2](picture, found.bboxes)
        with clock.of("tracker"):
            step(tracks, found, people)
        times.append(clock.seconds)
    return {
        part: 1e3 * statistics.median(one[part] for one in times[1:])
        for part in PARTS
        if part in times[0]
    }


def of_maps(maps: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """The largest cell of each map, in its box, and its softmax."""
    height, width = maps.shape[2:]
    peak, cell = maps.flatten(2).softmax(2).max(2)
    share = torch.stack([(cell % width + 0.5) / width, (cell // width + 0.5) / height], 2)
    return boxes[:, None, :2] + share * (boxes[:, 2:] - boxes[:, :2])[:, None], peak


def table(found: dict[str, Any]) -> str:
    """Milliseconds by part, and both ratios."""
    rows = []
    for name, parts in found["milliseconds"].items():
        cells = [f"{parts[part]:.1f}" if part in parts else "-" for part in PARTS]
        rows.append([name, *cells, f"{sum(parts.values()):.1f}"])
    ratios = "; ".join(f"{name} = {value:.2f}" for name, value in found["ratios"].items())
    return f"{markdown(['ms a frame', *PARTS, 'all'], rows)}\n\n{ratios}"


def measure_all(
    frames: Sequence[np.ndarray], *, short_side: int, device: str = "cpu"
) -> dict[str, Any]:
    """Both backbones, both ways."""
    both = {
        f"ResNet-{depth}, {way}": measure(depth, way, frames, short_side=short_side, device=device)
        for depth in DEPTHS
        for way in WAYS
    }
    total = {name: sum(parts.values()) for name, parts in both.items()}
    few, many = (f"ResNet-{depth}" for depth in DEPTHS)
    ratios = {f"{few} / {many}, one": total[f"{few}, one"] / total[f"{many}, one"]}
    for name in (few, many):
        ratios[f"one / three, {name}"] = total[f"{name}, one"] / total[f"{name}, three"]
    return dict(milliseconds=both, ratios=ratios)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=4, help="that count (default 4)")
    parser.add_argument("--short-side", type=int, default=320, help="pixels (default 320)")
    parser.add_argument("--device", default="cpu", help="where networks run (default cpu)")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    args = parser.parse_args()
    torch.set_num_threads(1)
    walkers.prepare(ROOT / walkers.ROOT, ROOT / "data/packages")
    frames = list(walkers.frames_of(ROOT / walkers.ROOT / "video.avi", args.frames + 1))
    found = measure_all(frames, short_side=args.short_side, device=args.device)
    settings = dict(frames=args.frames, short_side=args.short_side, people=PEOPLE)
    if args.json:
        whole = dict(machine=machine(args.device), **settings, **found)
        args.json.write_text(json.dumps(whole, indent=1) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
