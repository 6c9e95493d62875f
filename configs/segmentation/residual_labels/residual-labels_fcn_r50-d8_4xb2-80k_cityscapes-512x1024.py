"""FCN with residual labels, ResNet-50, Cityscapes: one line in a segmentor's config.

Run       tools/dist_train.sh CONFIG 4, where CONFIG is
          configs/segmentation/residual_labels/residual-labels_fcn_r50-d8_4xb2-80k_cityscapes-512x1024.py
Hardware  4 GPUs, 2 images each. Not trained by us.
Expected  not known. The auxiliary head keeps cross-entropy
"""

_base_ = [
    "../../_base_/models/fcn_r50-d8.py",
    "../../_base_/datasets/cityscapes.py",
    "../../_base_/pipelines/test_segmentation.py",
    "../../_base_/schedules/sgd_80k.py",
    "../../_base_/runtime_segmentation.py",
]

model = dict(
    decode_head=dict(
        loss_decode=dict(_delete_=True, type="mmext.ResidualLabelLoss", num_classes=19)
    )
)
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={"residual_matrix": dict(decay_mult=0.0)}),
)
