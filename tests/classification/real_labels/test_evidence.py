"""Replaced labels of clothes are found, and training without them errs less. Minutes.

Measured on the five seeds below: among the first two of a small net's answers, 88 % of the wrong
labels are found among 70 to 73 % of the doubted, and the error of 18 to 20 falls by 0.6 points on
average (-0.03 to 0.9). On two of them: 97 % and 55 % by the first answer alone, 90 % and 62 % by
cleanlab.
"""

import numpy as np
import pytest
import torch

from mmext.classification.real_labels import plausible
from mmext.data_checks.class_files import read_idx
from tests.checkout import REPO, run_script
from tests.classification.real_labels.batched import errors, noisy, out_of_fold, standard

HOW = dict(steps=1200, lr=0.05)
WIDTHS = (128, 64)


@pytest.mark.slow
def test_replaced_labels_of_clothes_are_found_and_better_left_out():
    result = run_script("data/fashion_mnist.py")
    if result.returncode:
        pytest.skip(result.stderr)
    read = {
        split: [
            read_idx(str(REPO / f"data/fashion_mnist/{split}-{kind}.gz"), what)
            for kind, what in (("images-idx3-ubyte", "pictures"), ("labels-idx1-ubyte", "labels"))
        ]
        for split in ("train", "t10k")
    }
    test = standard(read["t10k"][0]), torch.from_numpy(read["t10k"][1].astype(np.int64))
    found = []
    for seed in range(5):
        task = noisy(*read["train"], number=3000, rate=0.2, seed=seed)
        scores = out_of_fold(task, WIDTHS, folds=5, seed=seed, **HOW)
        dropped = ~plausible(scores, task.labels, k=2)
        everything = np.ones_like(dropped)
        all_of_them, kept = errors(
            task, np.stack([everything, ~dropped]), test, WIDTHS, seed=seed, **HOW
        )
        found.append((dropped[task.wrong].mean(), task.wrong[dropped].mean(), all_of_them - kept))
        print(seed, [round(float(one), 3) for one in found[-1]], round(kept, 2))
    recall, precision, gain = np.array(found).T
    assert recall.mean() >= RECALL
    assert precision.mean() >= PRECISION
    assert gain.mean() >= 0.3


RECALL, PRECISION = 0.85, 0.65
