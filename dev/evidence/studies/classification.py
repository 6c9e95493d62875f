"""Classifiers: wrong labels, residual labels, averaged weights."""

from dev.evidence.changes import (
    all_labels,
    cross_entropy,
    doubt_at_random,
    last_iterate,
    parameters_alone,
    rate_to_zero,
    residual,
)
from dev.evidence.study import Arm, Measure, Study

CLEAN = "configs/classification/real_labels/clean_mlp_1xb32-3k_fashion-mnist.py"
NOISY = "configs/classification/real_labels/noisy_mlp_1xb32-300i_fashion-mnist.py"
RESIDUAL = "configs/classification/residual_labels/residual-{}_mlp_1xb64-25e_fashion-mnist.py"
AVERAGED = "configs/classification/fbnetv3/ema_convnet_1xb32-450i_digits.py"

CLOTHES = "the official 10,000 test pictures of Fashion-MNIST"
OF_CLASSIFIERS = {
    "top-1": Measure("accuracy/top1", scale=0.01),
    "log-likelihood": Measure("calibration/nll", scale=-1.0),
    "calibration": Measure("calibration/ece", scale=-0.01),
}
"""Higher is better in each: the last two are the negative NLL and the negative ECE."""
RESIDUAL_ARMS = {
    "cross-entropy": cross_entropy(),
    "label smoothing": cross_entropy(label_smoothing=0.1),
    "uniform residual": residual("UniformResidualLoss"),
    "learnt, all": residual("ResidualLabelLoss"),
    "learnt, errors": residual("ResidualLabelLoss", update_on="error"),
}


def residual_arms(config: str) -> dict[str, Arm]:
    """The arms of both studies of residual labels; the one that the config is comes unchanged."""
    own = "learnt, errors" if config == RESIDUAL.format("errors") else "learnt, all"
    return {
        name: Arm(config) if name == own else Arm(config, change)
        for name, change in RESIDUAL_ARMS.items()
    }


STUDIES = {
    "residual_labels": Study(
        question=(
            "Where labels are wrong in a structured way, does a residual label that learns from "
            "errors tell more pictures apart, and more than one that learns nothing?"
        ),
        data_name=f"{CLOTHES}; 30 % of 2,000 training labels bear the next class",
        limits="anything about ImageNet, large nets or noise without structure",
        arms=residual_arms(RESIDUAL.format("errors")),
        baseline="cross-entropy",
        claim="learnt, errors",
        primary="top-1",
        measures=OF_CLASSIFIERS,
        data=("fashion_mnist",),
        pairs=(("learnt, errors", "uniform residual"), ("learnt, errors", "learnt, all")),
    ),
    "residual_labels_clean": Study(
        question="The plain task beside residual_labels: the same pictures with their own labels.",
        data_name=f"{CLOTHES}; 2,000 for training",
        limits="anything about ImageNet or large nets",
        arms=residual_arms(RESIDUAL.format("labels")),
        baseline="cross-entropy",
        claim="learnt, all",
        primary="log-likelihood",
        measures=OF_CLASSIFIERS,
        data=("fashion_mnist",),
        pairs=(("learnt, all", "uniform residual"),),
    ),
    "clean_labels": Study(
        question=(
            "Does training without the labels that nets of other folds doubt beat training on all, "
            "leaving out as many at random, and stopping before wrong labels are learnt by heart?"
        ),
        data_name="Fashion-MNIST, a fifth of 3,000 labels replaced",
        limits="more than one draw of wrong labels and one list, or labels that people got wrong",
        arms={
            "all labels": Arm(CLEAN, all_labels),
            "all labels, stopped early": Arm(NOISY),
            "as many at random": Arm(CLEAN, doubt_at_random),
            "without doubted labels": Arm(CLEAN),
        },
        baseline="all labels",
        claim="without doubted labels",
        primary="top-1",
        measures={
            "top-1": Measure("accuracy/top1", scale=0.01),
            "-NLL": Measure("calibration/nll", scale=-1.0),
        },
        data=(
            "fashion_mnist",
            f"../clean_labels {NOISY} --folds 5 --out data/clean_labels/fashion-mnist.txt "
            "--control data/clean_labels/fashion-mnist-random.txt",
        ),
        pairs=(
            ("without doubted labels", "as many at random"),
            ("without doubted labels", "all labels, stopped early"),
        ),
    ),
    "averaged_digits": Study(
        question=(
            "Does a running average of a net's weights tell more digits apart than the net itself "
            "where labels are wrong, and do the statistics of its norms have to be averaged too?"
        ),
        data_name="the last 797 digits of scikit-learn; 30 % of 500 training labels replaced",
        limits="anything about FBNetV3, ImageNet, or more than one draw of wrong labels",
        arms={
            "last iterate": Arm(AVERAGED, last_iterate),
            "last iterate, rate to zero": Arm(AVERAGED, rate_to_zero),
            "average of parameters": Arm(AVERAGED, parameters_alone),
            "average of parameters and statistics": Arm(AVERAGED),
        },
        baseline="last iterate",
        claim="average of parameters and statistics",
        primary="top-1",
        measures=OF_CLASSIFIERS,
        data=("digits",),
        pairs=(
            ("average of parameters and statistics", "average of parameters"),
            ("average of parameters and statistics", "last iterate, rate to zero"),
        ),
    ),
}
