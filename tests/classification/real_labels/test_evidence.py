"""Replaced labels of clothes are found, and training without them errs less. Minutes.

Nets of the folds train for four epochs, before they learn wrong labels by heart; those that are
compared for twenty, after which they have. Measured on the five seeds below: 88 to 91 % of the
wrong labels are found, 84 to 86 % of the doubted ones are wrong, and the error falls by 2.7 to 4.1
points, to 17.7 to 18.7.
"""

import numpy as np
import pytest
import torch

from mmext.classification.real_labels import plausible
from mmext.data_checks.class_files import read_idx
from tests.checkout import REPO, run_script
from tests.classification.real_labels.batched import errors, noisy, out_of_fold, standard

FOLDS = dict(steps=300, lr=0.05)
TRAINING = dict(steps=2000, lr=0.05)
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
        scores = out_of_fold(task, WIDTHS, folds=5, seed=seed, **FOLDS)
        dropped = ~plausible(scores, task.labels)
        everything = np.ones_like(dropped)
        all_of_them, kept = errors(
            task, np.stack([everything, ~dropped]), test, WIDTHS, seed=seed, **TRAINING
        )
        found.append((dropped[task.wrong].mean(), task.wrong[dropped].mean(), all_of_them - kept))
        print(seed, [round(float(one), 3) for one in found[-1]], round(kept, 2))
    recall, precision, gain = np.array(found).T
    assert recall.mean() >= 0.85
    assert precision.mean() >= 0.80
    assert gain.mean() >= 2
