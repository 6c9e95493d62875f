"""Scale-normalised training and testing on COCO's persons, ResNet-18.

Run       tools/dist_train.sh
          configs/pose/fastpose/mtn-sifp_faster-rcnn_r18_fpn_8xb2-1x_coco.py 8
Hardware  8 GPUs
Expected  not measured; tools/test.py tests one scale, with --tta all three
"""

_base_ = [
    "../../_base_/models/mtn_r18_fpn.py",
    "../../_base_/datasets/coco_keypoints.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

optim_wrapper = dict(optimizer=dict(lr=0.02))

model = dict(
    train_cfg=dict(
        rpn=dict(assigner=dict(type="mmext.SNIPAssigner", ignore_iou_thr=0.3)),
        rcnn=dict(assigner=dict(type="mmext.SNIPAssigner", ignore_iou_thr=0.5)),
    )
)
train_dataloader = dict(dataset=dict(pipeline=_base_.snip_train_pipeline))

# With tools/test.py --tta: the scales and the ranges of training.
tta_model = dict(
    type="mmext.ScaleNormalizedTTA",
    ranges=_base_.snip_train_pipeline[3]["ranges"],
)
tta_pipeline = [
    _base_.test_pipeline[0],
    dict(
        type="TestTimeAug",
        transforms=[
            [
                dict(type="mmext.PoseResize", scale=scale, keep_ratio=True)
                for scale in _base_.snip_train_pipeline[2]["scales"]
            ],
            [_base_.test_pipeline[2]],
            [_base_.test_pipeline[3]],
        ],
    ),
]
