"""Row of ReaL: the metric over 50,000 pictures of 1,000 classes, scores to numbers.

Upstream is our writing of timm's evaluator (timm 1.0 imports torchvision, and asks for 50,000 files
in order): the first five of each batch, then a look into each picture's list.
"""

import random

import torch

from mmext.classification.real_labels import ReaLAccuracy

from .cases import Case

PICTURES, CLASSES, BATCH = 50_000, 1000, 250


def random_lists() -> list[list[int]]:
    """Lists as long as those of the released file."""
    rng = random.Random(0)
    sizes = {0: 3163, 1: 39394, 2: 5408, 3: 1319, 4: 411, 5: 161, 6: 88, 7: 41, 8: 13, 9: 2}
    lengths = [size for size, number in sizes.items() for _ in range(number)]
    rng.shuffle(lengths)
    return [rng.sample(range(CLASSES), length) for length in lengths]


def one_by_one(lists: list[list[int]], scores: torch.Tensor) -> dict[str, float]:
    """Count as timm does."""
    right: dict[int, list[bool]] = {1: [], 5: []}
    for start in range(0, PICTURES, BATCH):
        answers = scores.topk(5, 1).indices.cpu().numpy()
        for place, own in enumerate(answers, start):
            if lists[place]:
                for k, found in right.items():
                    found.append(any(one in lists[place] for one in own[:k]))
    return {f"top{k}": 100 * sum(found) / len(found) for k, found in right.items()}


def metric(side: str) -> Case:
    """One batch of scores stands for all, so memory is the metric's; the goal: upstream's time."""
    lists, scores = random_lists(), torch.rand(BATCH, CLASSES)
    if side == "upstream":
        return Case(*[lambda: one_by_one(lists, scores)] * 2)
    paths = [f"ILSVRC2012_val_{number + 1:08}.JPEG" for number in range(PICTURES)]

    def run() -> dict[str, float]:
        one = ReaLAccuracy(lists)
        for start in range(0, PICTURES, BATCH):
            rows = zip(scores, paths[start : start + BATCH], strict=True)
            one.process(None, [dict(pred_score=row, img_path=path) for row, path in rows])
        return one.evaluate(PICTURES)

    return Case(run, run)
