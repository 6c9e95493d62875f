"""Boxes and 17 points of a running mouse: minutes on a CPU.

The data set is "mmext.PoseCocoDataset", its pipeline "mmext.LoadPoseAnnotations",
"mmext.PoseResize", "mmext.PoseAffine" and "mmext.PackPoseDetInputs", its judge
"mmext.CocoKeypointMetric".

Run       mmext data mouse && mmext data mobilenet_v2 && python tools/train.py
          configs/pose/fastpose/mtn_faster-rcnn_mobilenet-v2_fpn_1xb4-300i_mouse.py
Hardware  any CPU, about three minutes on one core
Expected  box AP 0.96 and keypoint AP 0.89 in 30 frames, with sigmas of 0.05 (one run, seed 0)
"""

_base_ = [
    "../../_base_/models/faster_rcnn_mobilenet-v2_fpn.py",
    "../../_base_/datasets/mouse_pose.py",
    "../../_base_/schedules/adamw_300i.py",
    "../../_base_/runtime_iters.py",
]

model = dict(
    roi_head=dict(
        type="mmext.MTNRoIHead",
        bbox_head=dict(num_classes=1),
        keypoint_head=dict(
            type="mmext.KeypointRCNNHead", num_keypoints=17, num_convs=3, conv_channels=128
        ),
        # The mouse is large: points want the finest level, boxes may take a coarser one.
        keypoint_roi_extractor=dict(
            type="SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=14, sampling_ratio=2),
            out_channels=96,
            featmap_strides=[8, 16, 32],
            finest_scale=224,
        ),
    )
)
