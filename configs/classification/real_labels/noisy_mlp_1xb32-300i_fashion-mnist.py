"""3,000 clothes of which a fifth bears a wrong label: what tools/clean_labels.py is to find.

The schedule is short: a net that trains for longer learns wrong labels by heart, those that it
judges are then worth less.

Run       python tools/data/fashion_mnist.py && python tools/clean_labels.py
          configs/classification/real_labels/noisy_mlp_1xb32-300i_fashion-mnist.py --folds 5
          --out data/clean_labels/fashion-mnist.txt --report data/clean_labels/fashion-mnist.csv
Hardware  two CPU cores
Expected  0.786 top-1 on the official test pictures (mean of 8 seeds)
"""

_base_ = [
    "../../_base_/models/mlp_28x28.py",
    "../../_base_/datasets/fashion-mnist_classification.py",
    "../../_base_/schedules/sgd-cosine_300i.py",
    "../../_base_/runtime_classification_iters.py",
]

train_dataloader = dict(
    batch_size=32,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        _delete_=True,
        type="mmext.NoisyLabels",
        rate=0.2,
        dataset=dict(
            type=_base_.dataset_type,
            data_root=_base_.data_root,
            metainfo=_base_.metainfo,
            indices=3000,
            pipeline=_base_.train_pipeline,
            **_base_.train_files,
        ),
    ),
)
