"""Small files of COCO and PoseTrack, and pictures for them."""

import json

import cv2
import numpy as np

from mmext.pose.fastpose.layouts import KNOWN

COCO = KNOWN["coco"].names
POSETRACK = KNOWN["posetrack17"].names
SIZE = (48, 64)
"""Height and width."""


def person(names=COCO, **more):
    """A category."""
    return dict(id=1, name="person", keypoints=list(names), skeleton=[[1, 2]], **more)


def points(number=17, *, seed=0, visible=2, size=SIZE):
    """Random points in a picture, as COCO writes them: whole pixels."""
    rng = np.random.default_rng(seed)
    xs, ys = rng.integers(4, size[1] - 4, number), rng.integers(4, size[0] - 4, number)
    values = np.stack([xs, ys, np.broadcast_to(visible, number)], 1)
    values[values[:, 2] == 0] = 0
    return values.ravel().tolist()


def annotation(number=1, image=1, **more):
    """An annotation with a box and points."""
    own = dict(id=number, image_id=image, category_id=1, bbox=[2, 3, 50, 40], area=2000, iscrowd=0)
    return {**own, "keypoints": points(seed=number), "num_keypoints": 17, **more}


def coco(annotations, *, images=1, categories=None):
    """A parsed COCO file."""
    height, width = SIZE
    return dict(
        images=[
            dict(id=one + 1, file_name=f"{one + 1}.png", width=width, height=height)
            for one in range(images)
        ],
        annotations=annotations,
        categories=categories or [person()],
    )


def posetrack(numbers=(0, 1, 2), *, video="000342", people=(0, 1), first_id=1, **frame):
    """A parsed file of PoseTrack 2018: no sizes, no areas, v 1, boxes of heads."""
    images = [
        dict(id=first_id + place, vid_id=video, frame_id=number, is_labeled=True, nframes=9)
        | dict(file_name=f"{video}/{number:06}.png")
        | frame
        for place, number in enumerate(numbers)
    ]
    annotations = [
        dict(
            id=10 * image["id"] + track,
            image_id=image["id"],
            category_id=1,
            track_id=track,
            bbox=[2 + 20 * track, 3, 20, 40],
            bbox_head=[4, 4, 6, 8],
            keypoints=points(seed=track, visible=1),
        )
        for image in images
        for track in people
    ]
    return dict(images=images, annotations=annotations, categories=[person(POSETRACK)])


def written(folder, data, name="file.json"):
    """Path of a file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return str(path)


def pictures(folder, data, size=SIZE):
    """Write a grey picture for each image of a file."""
    for image in data["images"]:
        path = folder / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((*size, 3), 90, np.uint8))
    return f"{folder}/"
