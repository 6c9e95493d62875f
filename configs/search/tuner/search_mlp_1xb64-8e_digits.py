"""Two linear layers on scikit-learn's digits: what a search can be tried on in minutes.

Run       python tools/data/digits.py && python tools/search.py
          configs/search/tuner/search_mlp_1xb64-8e_digits.py --trials 12 --work-dir work_dirs/search
Hardware  two CPU cores
Expected  a table of trials, the best config and pictures in work_dirs/search; README.md shows them.
          Its own values are a usual choice, so a search need not find better ones
"""

_base_ = [
    "../../_base_/datasets/digits_classification.py",
    "../../_base_/runtime_classification.py",
]

model = dict(
    type="mmext.ImageClassifier",
    data_preprocessor=dict(mean=[77.8], std=[95.9]),  # of the digits
    backbone=dict(type="mmext.MLPBackbone", in_shape=(1, 8, 8), widths=(64, 32)),
    head=dict(
        type="mmext.LinearClsHead",
        in_channels=32,
        num_classes=10,
        loss=dict(type="mmext.CrossEntropyLoss"),
    ),
)

train_dataloader = dict(batch_size=64)
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=8, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="SGD", lr=0.05, momentum=0.9, weight_decay=5e-4)
)
param_scheduler = [
    dict(type="CosineAnnealingLR", by_epoch=True, T_max=8, convert_to_iter_based=True),
]

# Only tools/search.py reads this; it adds "mmext.SearchReportHook" to the default_hooks of a trial,
# and with --method pbt "mmext.SearchSegmentHook".
search = dict(
    space={
        "optim_wrapper.optimizer.lr": dict(type="float", low=1e-3, high=1.0, log=True),
        "optim_wrapper.optimizer.weight_decay": dict(type="float", low=1e-6, high=1e-2, log=True),
    },
    objective="auto",
    method="tpe",
    pruner="asha",
    trials=30,
    seed=0,
)
