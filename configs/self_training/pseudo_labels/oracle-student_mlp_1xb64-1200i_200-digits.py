"""An oracle's student: 200 labelled digits, and 800 whose teacher makes no mistake.

What self-training could bring at most: a student on a real teacher's labels lies between this one
and one on the 200 alone.

Run       mmext data digits && python tools/train.py
          configs/self_training/pseudo_labels/oracle-student_mlp_1xb64-1200i_200-digits.py
Hardware  one CPU core
Expected  not measured
"""

_base_ = [
    "../../_base_/models/mlp_28x28.py",
    "../../_base_/datasets/digits_classification.py",
    "../../_base_/schedules/sgd-cosine_1200i.py",
    "../../_base_/runtime_classification_iters.py",
]

model = dict(
    _delete_=True,
    type="mmext.SelfTrainingWrapper",
    model=dict(
        _base_.model,
        data_preprocessor=dict(mean=[78.0], std=[96.0]),
        backbone=dict(_base_.model.backbone, in_shape=(1, 8, 8)),
    ),
    alpha=1.0,
)

unlabelled = dict(
    _base_.train_dataloader.dataset,
    indices=list(range(200, 1000)),
    pipeline=[*_base_.train_pipeline, dict(type="mmext.MarkSource", source="pseudo")],
)
train_dataloader = dict(
    batch_size=64,
    sampler=dict(_delete_=True, type="mmext.RatioBatchSampler", batch_size=64, ratio=(1, 1)),
    dataset=dict(
        _delete_=True,
        type="ConcatDataset",
        datasets=[dict(_base_.train_dataloader.dataset, indices=200), unlabelled],
    ),
)
