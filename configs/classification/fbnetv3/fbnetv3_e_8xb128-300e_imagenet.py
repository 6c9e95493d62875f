"""FBNetV3-E on ImageNet at its own size, 264 pixels, with averaged weights.

Run       bash tools/dist_train.sh
          configs/classification/fbnetv3/fbnetv3_e_8xb128-300e_imagenet.py 8
Hardware  8 GPUs x 128 images; other batch sizes: --auto-scale-lr. Not trained by us.
Expected  not known for this schedule. The authors' own weights have top-1 81.254 and top-5
          95.488 with official padding (theirs, 762 M FLOPs). Sizes and averaging are theirs;
          optimiser, rate, epochs, dropout and augmentation are ours, since theirs are not public
"""

_base_ = [
    "../../_base_/models/fbnetv3.py",
    "../../_base_/datasets/imagenet_classification.py",
    "../../_base_/schedules/sgd-cosine_300e.py",
    "../../_base_/ema.py",
    "../../_base_/runtime_classification.py",
]

model = dict(backbone=dict(arch="e"), head=dict(arch="e"))

train_dataloader = dict(
    batch_size=128,
    dataset=dict(
        pipeline=[
            _base_.train_pipeline[0],
            dict(type="mmext.RandomResizedCrop", scale=264),
            *_base_.train_pipeline[2:],
        ]
    ),
)
val_dataloader = dict(
    dataset=dict(
        pipeline=[
            _base_.test_pipeline[0],
            dict(type="Resize", scale=(100000, 291), keep_ratio=True),  # the shorter side
            dict(type="CenterCrop", crop_size=264),
            *_base_.test_pipeline[3:],
        ]
    )
)
test_dataloader = val_dataloader
