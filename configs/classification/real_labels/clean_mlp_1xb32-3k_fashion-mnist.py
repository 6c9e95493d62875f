"""The noisy clothes again without the labels that tools/clean_labels.py does not trust.

Run       python tools/train.py
          configs/classification/real_labels/clean_mlp_1xb32-3k_fashion-mnist.py
          after the two commands of noisy_mlp_1xb32-300i_fashion-mnist.py
Hardware  two CPU cores
Expected  0.808 top-1 on the official test pictures, 0.756 with all labels (means of 8 seeds)
"""

_base_ = [
    "../../_base_/models/mlp_28x28.py",
    "../../_base_/datasets/fashion-mnist_classification.py",
    "../../_base_/schedules/sgd-cosine_3k.py",
    "../../_base_/runtime_classification_iters.py",
]

clean_list = "data/clean_labels/fashion-mnist.txt"
train_dataloader = dict(
    batch_size=32,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        _delete_=True,
        type="mmext.FilteredDataset",
        keep=clean_list,
        dataset=dict(
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
    ),
)
