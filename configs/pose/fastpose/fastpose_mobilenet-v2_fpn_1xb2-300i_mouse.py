"""FastPose on clips, tracker and metrics included, of a running mouse: minutes on a CPU.

Shows where each part stands and that all of them run. A clip is a labelled frame beside an altered
copy of itself, cut by "mmext.PoseCrop" and packed by "mmext.PackPoseTrackInputs" from a
"mmext.PoseVideoDataset". Each frame is a video of its own, so nothing moves, and
"mmext.PoseTrackMetric" and "mmext.PoseHOTAMetric" measure no more than whether the mouse and its
points are found.

Run       mmext data mouse && mmext data mobilenet_v2 && python tools/train.py
          configs/pose/fastpose/fastpose_mobilenet-v2_fpn_1xb2-300i_mouse.py
Hardware  any CPU, about three minutes on one core
Expected  93 % of the points found, MOTA 76, HOTA 77 in 30 frames (one run, seed 0)
"""

_base_ = [
    "../../_base_/models/faster_rcnn_mobilenet-v2_fpn.py",
    "../../_base_/datasets/mouse_video.py",
    "../../_base_/schedules/adamw_300i.py",
    "../../_base_/runtime_iters.py",
]

detector = _base_.model
detector["roi_head"]["type"] = "mmext.MTNRoIHead"
detector["roi_head"]["bbox_head"]["num_classes"] = 1
detector["roi_head"]["keypoint_head"] = dict(
    type="mmext.KeypointRCNNHead", num_keypoints=17, num_convs=3, conv_channels=128
)
# The mouse is large: points want the finest level, boxes may take a coarser one.
detector["roi_head"]["keypoint_roi_extractor"] = dict(
    type="SingleRoIExtractor",
    roi_layer=dict(type="RoIAlign", output_size=14, sampling_ratio=2),
    out_channels=96,
    featmap_strides=[8, 16, 32],
    finest_scale=224,
)
detector["roi_head"]["visibility_head"] = dict(type="mmext.VisibilityHead")
detector["roi_head"]["reid_head"] = dict(
    type="mmext.RoIReIDHead", num_ids=64, conv_channels=64, embed_channels=32
)

model = dict(
    _delete_=True,
    type="mmext.FastPose",
    data_preprocessor=dict(detector.pop("data_preprocessor"), type="TrackDataPreprocessor"),
    detector=detector,
    tracker=dict(type="mmext.OcclusionAwareTracker"),
)
default_hooks = dict(visualization=dict(_delete_=True, type="mmext.PoseTrackVisHook", interval=1))
