"""Scale-normalised training and testing on COCO's persons, ResNet-50.

Run       tools/dist_train.sh configs/pose/fastpose/mtn-sifp_faster-rcnn_r50_fpn_8xb2-1x_coco.py 8
Hardware  8 GPUs; 12 epochs
Expected  not measured; tools/test.py tests one scale, and with --tta all three
"""

_base_ = [
    "../../_base_/models/mtn_r50_fpn.py",
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
train_dataloader = dict(dataset=dict(pipeline={{_base_.sifp_train_pipeline}}))

tta_model = dict(type="mmext.ScaleNormalizedTTA", ranges={{_base_.sifp_ranges}})
tta_pipeline = {{_base_.sifp_tta_pipeline}}
