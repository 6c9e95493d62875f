"""Does the keypoint branch learn from people's clicks, and what does one network cost in accuracy?

    python -m dev.evidence.points.study             as stated; writes points.json, resumable by seed
    python -m dev.evidence.points.study --develop 300   seed 100, so many iterations; only printed

Data      the running mouse: 60 frames to learn from, 30 to be judged by, 17 points. There is no
          third split, so the 30 were looked at while the config was made: no claim of the paper
Arms      mean pose      of the 60 frames, in the box that the one network finds
          one network    configs/pose/fastpose/mtn_faster-rcnn_mobilenet-v2_fpn_1xb4-300i_mouse.py
          two networks   a detector, the same without the keypoint branch, and a network for the
                         points, the same whose boxes are not learnt; each with as many iterations,
                         so twice as many together. The second takes the detector's boxes
Pairs     of a seed: one start, the same frames in the same order, moved in the same way
Decides   keypoint AP (OKS, sigma .05 each), one network against two
Beside    one network against the mean pose: whether anything is learnt
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric

from dev.evidence import pairs, provenance
from dev.evidence.results import RESULTS, read, write_json
from dev.evidence.study import ROOT, StudyError
from dev.evidence.tables import interval, markdown

CONFIG = "configs/pose/fastpose/mtn_faster-rcnn_mobilenet-v2_fpn_1xb4-300i_mouse.py"
SEEDS, DEVELOPMENT, ITERATIONS = tuple(range(6)), 100, 300
MEAN, ONE, TWO = "mean pose", "one network", "two networks"
ARMS = (MEAN, ONE, TWO)
COMPARED = ((ONE, TWO), (ONE, MEAN))
MEASURE = "AP"
PUBLISHED = ROOT / RESULTS / "points.json"
KEPT = ROOT / "work_dirs/evidence/points"

Finder = Callable[[Any], list[Any]]
"""Samples with predictions, of a batch."""


def statement() -> dict[str, Any]:
    """What is fixed before the run."""
    return dict(
        config=CONFIG,
        seeds=SEEDS,
        iterations=ITERATIONS,
        arms=ARMS,
        compared=COMPARED,
        measure=f"keypoint {MEASURE} on 30 frames, sigma .05 each",
    )


def config_of(role: str, seed: int, iterations: int, folder: str) -> Config:
    """The config of one training.

    Args:
        role: "both", "boxes" or "points", what the network learns.
        seed: of everything drawn.
        iterations: of the training.
        folder: for logs.
    """
    cfg = Config.fromfile(str(ROOT / CONFIG), import_custom_modules=False)
    cfg.work_dir, cfg.randomness = folder, dict(seed=seed)
    cfg.train_cfg.update(max_iters=iterations, val_interval=iterations + 1)
    cfg.default_hooks.checkpoint.update(interval=-1, save_last=False)
    if role == "boxes":
        cfg.model.roi_head.update(keypoint_head=None, keypoint_roi_extractor=None)
    if role == "points":
        # Its proposals are learnt, since they are the boxes in which points are; boxes are not.
        for name in ("loss_cls", "loss_bbox"):
            cfg.model.roi_head.bbox_head[name] = dict(
                cfg.model.roi_head.bbox_head.get(name, {}), loss_weight=0.0
            )
    return cfg


def trained(role: str, seed: int, iterations: int) -> tuple[Any, Any]:
    """A runner after its training, and its detector."""
    from mmengine.runner import Runner

    with tempfile.TemporaryDirectory() as folder:
        runner = Runner.from_cfg(config_of(role, seed, iterations, folder))
        runner.train()
    runner.model.eval()
    return runner, runner.model


@torch.no_grad()
def points_in_boxes(boxes: Any, points: Any, batch: Any) -> list[Any]:
    """Samples with the first network's boxes and the second one's points in them."""
    data = boxes.data_preprocessor(batch, False)
    inputs, samples = data["inputs"], data["data_samples"]
    features = boxes.extract_feat(inputs)
    proposals = boxes.rpn_head.predict(features, samples, rescale=False)
    found = boxes.roi_head.predict(features, proposals, samples, rescale=False)
    points.roi_head._predict_poses(points.extract_feat(inputs), found)
    for one, sample in zip(found, samples, strict=True):
        points.roi_head._rescale(one, sample.scale_factor)
        sample.pred_instances = one
    return samples


def mean_pose(annotations: Mapping[str, Any]) -> np.ndarray:
    """Mean place (K, 2) of each point that is labelled, in shares of its box."""
    places = []
    for one in annotations["annotations"]:
        points = np.array(one["keypoints"], float).reshape(-1, 3)
        box = np.array(one["bbox"], float)
        share = (points[:, :2] - box[:2]) / box[2:]
        places.append(np.where(points[:, 2:] > 0, share, np.nan))
    return np.nanmean(places, 0)


def with_mean_pose(samples: list[Any], mean: np.ndarray) -> list[Any]:
    """The same samples with the mean pose in each box."""
    for sample in samples:
        found = sample.pred_instances
        start, end = found.bboxes[:, None, :2], found.bboxes[:, None, 2:]
        found.keypoints = start + (end - start) * found.bboxes.new_tensor(mean)
        found.keypoint_scores = torch.ones_like(found.keypoints[..., 0])
    return samples


def average_precision(runner: Any, find: Finder) -> float:
    """Keypoint AP over the frames that a runner tests on, in percent."""
    metrics: list[BaseMetric] = runner.val_loop.evaluator.metrics
    metric = next(one for one in metrics if type(one).__name__ == "CocoKeypointMetric")
    metric.results.clear()
    for batch in runner.val_dataloader:
        metric.process(batch, [one.to_dict() for one in find(batch)])
    found = metric.evaluate(len(runner.val_dataloader.dataset))
    return 100 * found[f"{metric.prefix}/{MEASURE}"]


def seed_of(seed: int, iterations: int) -> dict[str, float]:
    """AP of every arm."""
    runner, one = trained("both", seed, iterations)
    mean = mean_pose(read(ROOT / "data/mouse/annotations/train_60.json"))
    found = {
        MEAN: average_precision(runner, lambda batch: with_mean_pose(one.test_step(batch), mean)),
        ONE: average_precision(runner, one.test_step),
    }
    boxes, points = (trained(role, seed, iterations)[1] for role in ("boxes", "points"))
    found[TWO] = average_precision(runner, lambda batch: points_in_boxes(boxes, points, batch))
    return found


def all_seeds() -> Iterator[tuple[int, dict[str, Any]]]:
    """Every seed's numbers; those that an earlier run left are taken over."""
    key = provenance.code_hash(["dev.evidence.points.study"])
    for seed in SEEDS:
        path = KEPT / f"{seed}.json"
        if not path.exists() or read(path)["key"] != key:
            began = time.process_time()
            found = seed_of(seed, ITERATIONS)
            write_json(path, dict(key=key, found=found, seconds=time.process_time() - began))
        kept = read(path)
        print(f"seed {seed}: {kept['found']}", flush=True)
        yield seed, kept


def summarise(runs: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """The comparisons, of AP by arm and seed."""
    rows = []
    for treated, control in COMPARED:
        found = pairs.summarise(pairs.differences(runs[treated], runs[control]))
        rows.append(dict(treated=treated, control=control, **vars(found)))
    return rows


def table(found: Mapping[str, Any]) -> str:
    """Means of the arms, and the pairs."""
    means = [
        [name, f"{np.mean(list(one.values())):.1f} ± {np.std(list(one.values()), ddof=1):.1f}"]
        for name, one in found["AP"].items()
    ]
    rows = [
        [
            f"{one['treated']} against {one['control']}",
            interval(one, digits=1),
            f"{one['wins']} of {one['n']}",
        ]
        for one in found["pairs"]
    ]
    heads = ["pair", "difference (95 % interval)", "wins"]
    return f"{markdown(['arm', 'keypoint AP, %'], means)}\n\n{markdown(heads, rows)}"


def publish() -> None:
    """Run all as it is stated, once.

    Raises:
        StudyError: there is a result, or what is stated is not committed.
    """
    if PUBLISHED.exists():
        raise StudyError(f"expected no {PUBLISHED}, got one; a study runs once, as it is stated")
    commit = provenance.committed()
    kept = dict(all_seeds())
    runs = {arm: {str(seed): one["found"][arm] for seed, one in kept.items()} for arm in ARMS}
    found = dict(
        command="python -m dev.evidence.points.study",
        commit=commit,
        statement=statement(),
        AP=runs,
        pairs=summarise(runs),
        seconds=round(sum(one["seconds"] for one in kept.values())),
        machine=provenance.read_machine(),
    )
    write_json(PUBLISHED, found)
    print(table(found))


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--develop", type=int, metavar="ITERATIONS", help="seed 100, only printed")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    try:
        print(seed_of(DEVELOPMENT, args.develop)) if args.develop else publish()
    except StudyError as error:
        sys.exit(f"error: {error}.")


if __name__ == "__main__":
    main()
