"""A network and its own Adam for each of three stages, each with another box head: minutes on CPUs.

Run       python tools/data/stamps.py && python tools/data/mobilenet_v2.py && python tools/train.py
          configs/detection/sample_weighting/swn-adam_cascade-rcnn_mobilenet-v2_fpn_1xb4-200i_stamps.py
Hardware  two CPU cores
Expected  trains; its AP has not been measured
"""

_base_ = [
    "../../_base_/models/faster_rcnn_mobilenet-v2_fpn.py",
    "../../_base_/datasets/stamps_detection.py",
    "../../_base_/schedules/adamw_200i.py",
    "../../_base_/runtime_iters.py",
]

head = dict(
    num_classes=6,
    in_channels=96,
    fc_out_channels=256,
    roi_feat_size=7,
    reg_class_agnostic=True,
    swn=dict(),
)
coder = dict(type="DeltaXYWHBBoxCoder", target_means=[0.0, 0.0, 0.0, 0.0])
sampler = dict(type="RandomSampler", num=64, pos_fraction=0.25, add_gt_as_proposals=True)
stages = [
    dict(
        assigner=dict(
            type="MaxIoUAssigner",
            pos_iou_thr=iou,
            neg_iou_thr=iou,
            min_pos_iou=iou,
            match_low_quality=False,
        ),
        sampler=sampler,
        pos_weight=-1,
        debug=False,
    )
    for iou in (0.5, 0.6, 0.7)
]
model = dict(
    type="CascadeRCNN",
    roi_head=dict(
        type="CascadeRoIHead",
        num_stages=3,
        stage_loss_weights=[1, 0.5, 0.25],
        bbox_head=[
            dict(
                type="mmext.SWNShared2FCBBoxHead",
                bbox_coder=dict(target_stds=[0.1, 0.1, 0.2, 0.2], **coder),
                **head,
            ),
            dict(
                type="mmext.SWNShared4Conv1FCBBoxHead",
                conv_out_channels=64,
                bbox_coder=dict(target_stds=[0.05, 0.05, 0.1, 0.1], **coder),
                **head,
            ),
            dict(
                type="mmext.SWNConvFCBBoxHead",
                num_shared_fcs=1,
                num_cls_fcs=1,
                num_reg_fcs=1,
                bbox_coder=dict(target_stds=[0.033, 0.033, 0.067, 0.067], **coder),
                **head,
            ),
        ],
    ),
    train_cfg=dict(rcnn=stages),
)
optim_wrapper = dict(
    constructor="mmext.SWNOptimWrapperConstructor",
    paramwise_cfg=dict(swn=dict(type="Adam", lr=1e-3, weight_decay=1e-4)),
)
