"""COCO's persons with the 15 points of PoseTrack, ResNet-18: what a run on PoseTrack starts from.

COCO has no neck and no top of the head; these two count as not labelled.

Run       tools/dist_train.sh
          configs/pose/fastpose/mtn_faster-rcnn_r18_fpn_8xb2-1x_coco-posetrack.py 8
Hardware  8 GPUs
Expected  not measured
"""

_base_ = [
    "../../_base_/models/mtn_r18_fpn.py",
    "../../_base_/datasets/coco_keypoints.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

optim_wrapper = dict(optimizer=dict(lr=0.02))

model = dict(roi_head=dict(keypoint_head=dict(num_keypoints=15)))

train_dataloader = dict(dataset=dict(layout="posetrack15"))
val_dataloader = dict(dataset=dict(layout="posetrack15"))
test_dataloader = val_dataloader
