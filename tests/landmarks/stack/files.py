"""Small data sets of points in every format, written into a folder."""

import json

import cv2
import numpy as np

POINTS = np.array([[10.0, 20.0], [30.0, 22.0], [20.0, 35.0], [12.5, 50.25], [28.0, 50.0]])
"""Of a face: eyes, nose, corners of the mouth."""
PAIRS = [[0, 1], [3, 4]]
NAMES = ["left_eye", "right_eye", "nose", "left_mouth", "right_mouth"]
SIZE = (64, 48)


def picture(path, number=0):
    """A picture of random blocks, 48 wide and 64 high."""
    rng = np.random.default_rng(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = rng.integers(0, 256, (8, 6, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(blocks, SIZE[::-1], interpolation=cv2.INTER_NEAREST))


def write_json(folder, count=4, **changed):
    """``points.json`` with pictures; the last sample lacks its nose."""
    samples = []
    for number in range(count):
        picture(folder / f"{number}.png", number)
        points = (POINTS + number).tolist()
        if number == count - 1:
            points[2] = None
        samples.append(dict(img_path=f"{number}.png", keypoints=points, norm_len=20.0))
    found = dict(keypoint_names=NAMES, flip_pairs=PAIRS, samples=samples) | changed
    (folder / "points.json").write_text(json.dumps(found))
    return dict(
        type="mmext.LandmarkDataset",
        data_root=str(folder),
        ann_file="points.json",
        serialize_data=False,
    )


def write_pts(path, points=POINTS, said=None, number=0):
    """A .pts file, which counts from 1, with its picture."""
    picture(path.with_suffix(".png"), number)
    rows = "\n".join(f"{x + 1} {y + 1}" for x, y in points)
    path.write_text(f"version: 1\nn_points: {said or len(points)}\n{{\n{rows}\n}}\n")


def write_coco(folder, **category):
    """``coco.json``: two faces in the first picture, one in the second, none in the third."""
    images, annotations = [], []
    for number in range(3):
        picture(folder / f"{number}.png", number)
        images.append(dict(id=number + 1, file_name=f"{number}.png", width=48, height=64))
    for number, image in enumerate((1, 1, 2)):
        rows = [[x, y, 2] for x, y in (POINTS + number).tolist()]
        rows[2] = [0, 0, 0]
        one = dict(id=number + 10, image_id=image, category_id=1, iscrowd=0, num_keypoints=4)
        flat = [value for row in rows for value in row]
        annotations.append(one | dict(bbox=[8, 18, 24, 36], area=864, keypoints=flat))
    kind = dict(id=1, name="face", keypoints=NAMES, skeleton=[[1, 3], [2, 3]]) | category
    coco = dict(images=images, annotations=annotations, categories=[kind])
    (folder / "coco.json").write_text(json.dumps(coco))
    return dict(
        type="mmext.COCOLandmarkDataset",
        data_root=str(folder),
        ann_file="coco.json",
        serialize_data=False,
    )


def write_csv(folder, columns=1):
    """``table.csv`` as DeepLabCut writes it; the second row lacks its nose."""
    before = [""] * (columns - 1)
    lines = [
        ["scorer", *before, *["me"] * 10],
        ["bodyparts", *before, *[name for name in NAMES for _ in "xy"]],
        ["coords", *before, *"xy" * 5],
    ]
    for number in range(2):
        path = ["labeled-data", "video", f"{number}.png"]
        picture(folder.joinpath(*path), number)
        points = [str(v) for row in (POINTS + number).tolist() for v in row]
        if number:
            points[4:6] = ["", "NaN"]
        lines.append([*(["/".join(path)] if columns == 1 else path), *points])
    (folder / "table.csv").write_text("\n".join(",".join(line) for line in lines))
    return dict(
        type="mmext.CSVLandmarkDataset",
        data_root=str(folder),
        ann_file="table.csv",
        serialize_data=False,
    )


def write_aflw(folder, count=6):
    """``info.mat`` like AFLWinfo_release.mat: 19 points, x before y, an order of chance from 1."""
    from scipy.io import savemat

    rng = np.random.default_rng(0)
    names = np.empty((count, 1), dtype=object)
    points = rng.uniform(5, 40, (count, 19, 2))
    visible = rng.uniform(size=(count, 19)) < 0.8
    visible[4] = True
    for number in range(count):
        picture(folder / "images" / f"{number}.png", number)
        names[number, 0] = f"{number}.png"
    mat = dict(
        nameList=names,
        data=np.concatenate([points[..., 0], points[..., 1]], 1),
        mask_new=visible.astype(float),
        bbox=np.tile([4.0, 44.0, 2.0, 52.0], (count, 1)),  # left, right, top, bottom
        ra=np.array([[3, 1, 6, 2, 5, 4]]),
    )
    savemat(folder / "info.mat", mat)
    cfg = dict(
        type="mmext.AFLWMatDataset",
        data_root=str(folder),
        ann_file="info.mat",
        data_prefix=dict(img_path="images"),
        num_train=4,
        serialize_data=False,
    )
    return cfg, points, visible
