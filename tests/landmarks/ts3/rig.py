"""A whole run in small: drawn faces in files, the config of a run on them, and runs of it."""

import copy
import json

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from tests.landmarks.ts3.faces import PAIRS, SIDE, config, faces

LABELLED, HIDDEN = 6, 5


def write_faces(root, seed=0, labelled=LABELLED, hidden=HIDDEN):
    """Pictures and one JSON file; the last ones' labels are hidden from training."""
    pictures, points = faces(labelled + hidden, seed)
    samples = []
    for number, (picture, at) in enumerate(zip(pictures, points, strict=True)):
        name = f"{number:02}.png"
        pixels = ((picture.numpy().transpose(1, 2, 0) + 2) * 64).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(root / name), pixels)
        rows = [[float(x), float(y)] for x, y in at.tolist()]
        if number == 0:
            rows[3] = None  # a point that nobody labelled
        samples.append(dict(img_path=name, keypoints=rows, labeled=number < labelled))
    found = dict(samples=samples, flip_pairs=PAIRS)
    (root / "faces.json").write_text(json.dumps(found))
    return root


def loader(root, take, *, chance):
    moves = [dict(type="mmext.RandomFaceAffine"), dict(type="mmext.FaceFlip")] if chance else []
    dataset = dict(
        type="mmext.LandmarkDataset",
        data_root=str(root),
        ann_file="faces.json",
        take=take,
        pipeline=[
            dict(type="mmext.LoadFace"),
            dict(type="mmext.FaceCrop", size=SIDE, margin=0.0),
            *moves,
            dict(type="mmext.PackLandmark"),
        ],
    )
    return dict(
        batch_size=4,
        num_workers=0,
        sampler=dict(type="DefaultSampler", shuffle=chance),
        dataset=dataset,
    )


def run_config(root, work_dir, *, loop=(), model=(), **changes):
    """Three iterations on the labels and two rounds of three."""
    found = dict(
        default_scope="mmengine",
        custom_imports=dict(imports=["mmext"]),
        work_dir=str(work_dir),
        model=config(**dict(model)),
        train_dataloader=loader(root, "labeled", chance=True),
        unlabeled_dataloader=loader(root, "unlabeled", chance=False),
        train_cfg=dict(
            type="mmext.TS3TrainLoop", warmup_iters=3, round_iters=3, rounds=2, **dict(loop)
        ),
        optim_wrapper=dict(
            constructor="mmext.TS3OptimWrapperConstructor",
            optimizer=dict(type="Adam", lr=1e-3),
        ),
        custom_hooks=[dict(type="mmext.TS3Report")],
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=1, by_epoch=False)),
        log_processor=dict(by_epoch=False),
        randomness=dict(seed=3),
        log_level="WARNING",
    )
    return Config(copy.deepcopy(found | changes))


def runner(*args, **kwargs):
    """Of such a config; each has a name of its own."""
    runner.count = getattr(runner, "count", 0) + 1
    cfg = run_config(*args, **kwargs)
    cfg.experiment_name = f"ts3-{runner.count}"
    with DefaultScope.overwrite_default_scope("mmengine"):
        return Runner.from_cfg(cfg)
