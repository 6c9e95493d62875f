"""EMANet where only something far away tells what an object is called: minutes on a CPU.

Run       python tools/data/context.py && python tools/data/mobilenet_v2.py && python tools/train.py
          configs/segmentation/emanet/emanet_mobilenet-v2_1xb4-500i_context.py
Hardware  two CPU cores
Expected  an arm of ``make evidence STUDY=ema_far``; the folder's README has what came out
"""

_base_ = [
    "../../_base_/models/fcn_mobilenet-v2.py",
    "../../_base_/datasets/context_segmentation.py",
    "../../_base_/schedules/adamw_500i.py",
    "../../_base_/runtime_segmentation_small.py",
]

model = dict(
    # The map of stride 16 alone, frozen: deeper ones see the whole picture already.
    backbone=dict(
        strides=(1, 2, 2, 2, 1, 2, 1),
        dilations=(1, 1, 1, 1, 1, 1, 1),
        out_indices=(2, 3),
        frozen_stages=6,
    ),
    decode_head=dict(
        _delete_=True,
        type="mmext.EMAHead",
        in_channels=64,
        in_index={{_base_.model.decode_head.in_index}},
        channels=64,
        ema_channels=64,
        num_bases=32,
        num_stages=3,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=5,
        norm_cfg=dict(type="GN", num_groups=16, requires_grad=True),
        align_corners=False,
        loss_decode=dict(
            type="CrossEntropyLoss",
            use_sigmoid=False,
            # Nine tenths of the pixels are background: unweighted, a short training finds nothing
            # else.
            class_weight=[0.1, 1.0, 1.0, 1.0, 1.0],
        ),
    ),
)
