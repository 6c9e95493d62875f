"""The trees detector as a search trains it: 150 iterations, judged on tiles apart from its own.

Run       python -m dev.evidence.search.trees, which names the two halves of the training tiles
Hardware  two CPU cores, 40 minutes for all trials
Expected  not known before it is run; docs/evidence/search_trees.json says what came out
"""

_base_ = ["../../../configs/detection/gfl/gfl_mobilenet-v2_fpn_1xb4-400i_trees.py"]

train_cfg = dict(max_iters=150, val_interval=150)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=20, end=150, T_max=130),
]
val_dataloader = dict(dataset=dict(data_prefix=dict(img="train/")))

search = dict(
    space={
        "optim_wrapper.optimizer.lr": dict(type="float", low=1e-4, high=1e-2, log=True),
        "optim_wrapper.optimizer.weight_decay": dict(type="float", low=5e-4, high=0.5, log=True),
    },
    objective="coco/bbox_mAP_50",
    method="tpe",
    trials=24,
    workers=2,
    max_hours=0.6,  # when no trial begins any more; trees.py ends all at 40 minutes
)
