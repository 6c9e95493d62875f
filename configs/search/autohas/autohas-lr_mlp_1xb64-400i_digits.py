"""AutoHAS finds the learning rate of a small net on digits, from 1e-4 to 10, in one training.

Run        python tools/data/digits.py &&
           python tools/train.py configs/search/autohas/autohas-lr_mlp_1xb64-400i_digits.py
Hardware   any CPU, about a minute on one core
Expected   a rate of 0.1 or 1: fully trained, six rates give accuracies of .120, .159, .625, .936,
           .962 and .101 (docs of the search; measured on a CPU)
Then       python tools/train.py work_dirs/<this name>/best_recipe.py
"""

_base_ = [
    "../../_base_/datasets/digits_classification.py",
    "../../_base_/runtime_classification_iters.py",
]

model = dict(
    type="mmext.ImageClassifier",
    data_preprocessor=dict(mean=[0.0], std=[255.0]),
    backbone=dict(type="mmext.MLPBackbone", in_shape=(1, 8, 8), widths=(64,)),
    head=dict(
        type="mmext.LinearClsHead",
        in_channels=64,
        num_classes=10,
        loss=dict(type="mmext.CrossEntropyLoss"),
    ),
)

# Candidates are compared on pictures that the test does not see.
train_dataloader = dict(batch_size=64, dataset=dict(indices=700))
val_dataloader = dict(dataset=dict(indices=list(range(700, 1000))))

optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01))
train_cfg = dict(
    type="mmext.AutoHASLoop",
    max_iters=400,
    val_interval=400,
    space={"optim_wrapper.optimizer.lr": dict(basis=[1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0])},
)
val_cfg = dict()
test_cfg = dict()
