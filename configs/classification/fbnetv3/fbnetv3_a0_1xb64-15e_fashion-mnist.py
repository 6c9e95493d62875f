"""The smallest FBNetV3 on 2,000 grey clothes, with averaged weights: shows that it trains here.

Run       python tools/data/fashion_mnist.py && python tools/train.py
          configs/classification/fbnetv3/fbnetv3_a0_1xb64-15e_fashion-mnist.py
Hardware  two CPU cores
Expected  the loss falls. How right it gets says nothing about the paper, whose claim is one about
          ImageNet, and is not reported
"""

_base_ = [
    "../../_base_/models/fbnetv3.py",
    "../../_base_/datasets/fashion-mnist_classification.py",
    "../../_base_/schedules/sgd-cosine_15e.py",
    "../../_base_/runtime_classification.py",
]

model = dict(
    data_preprocessor=dict(mean=[72.9], std=[90.0], bgr_to_rgb=False),
    backbone=dict(type="mmext.FBNetV3", arch="a0", in_channels=1),
    head=dict(type="mmext.FBNetV3Head", arch="a0", num_classes=10),
)
train_dataloader = dict(dataset=dict(indices=2000))
# configs/_base_/ema.py averages over thousands of iterations; here there are a few hundred.
custom_hooks = [dict(type="EMAHook", momentum=0.02, update_buffers=True)]
