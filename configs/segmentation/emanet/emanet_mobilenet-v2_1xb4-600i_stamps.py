"""EMANet in a small segmentation model: minutes on a CPU.

Run       python tools/data/stamps.py && python tools/data/mobilenet_v2.py && python tools/train.py
          configs/segmentation/emanet/emanet_mobilenet-v2_1xb4-600i_stamps.py
Hardware  two CPU cores
Expected  mIoU of 35 percent, an arm of docs/evidence/segmentation.json, three unpaired seeds
"""

_base_ = [
    "../../_base_/models/fcn_mobilenet-v2.py",
    "../../_base_/datasets/stamps_segmentation.py",
    "../../_base_/schedules/adamw_600i.py",
    "../../_base_/runtime_segmentation_small.py",
]

model = dict(
    decode_head=dict(
        _delete_=True,
        type="mmext.EMAHead",
        in_channels=320,
        in_index={{_base_.model.decode_head.in_index}},
        channels=64,
        ema_channels=64,
        num_bases=32,
        num_stages=3,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=7,
        norm_cfg=dict(type="GN", num_groups=16, requires_grad=True),
        align_corners=False,
        loss_decode={{_base_.model.decode_head.loss_decode}},
    )
)
