"""All branches and scale-normalised training on a running mouse: minutes on a CPU.

Shows where each part stands. The mouse has one size, is always visible and always the same one, so
neither scales nor visibility nor the embedding have anything to learn here. At 256 pixels it is
larger than what that scale is for (240 against 224), so it is learnt, and found, at 128 alone:
test with "--tta". Without it, and so while this trains, the score is 0.

The data set is "mmext.PoseCocoDataset", its judge "mmext.CocoKeypointMetric".

Run       mmext data mouse && mmext data mobilenet_v2 && python tools/train.py
          configs/pose/fastpose/mtn-sifp_faster-rcnn_mobilenet-v2_fpn_1xb4-300i_mouse.py, then
          tools/test.py with it, the checkpoint and --tta
Hardware  any CPU, about three minutes on one core
Expected  box AP 0.93 and keypoint AP 0.76 in 30 frames with --tta (one run, seed 0)
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
        visibility_head=dict(type="mmext.VisibilityHead"),
        reid_head=dict(type="mmext.RoIReIDHead", num_ids=8, conv_channels=64, embed_channels=32),
    ),
    train_cfg=dict(
        rpn=dict(assigner=dict(type="mmext.SNIPAssigner", ignore_iou_thr=0.3)),
        rcnn=dict(assigner=dict(type="mmext.SNIPAssigner", ignore_iou_thr=0.5)),
    ),
)

scales, ranges = [(256, 256), (128, 128)], [(0, 224), (64, None)]

train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="mmext.LoadPoseAnnotations", with_bbox=True),
            dict(
                type="RandomChoiceResize",
                scales=scales,
                resize_type="mmext.PoseResize",
                keep_ratio=True,
            ),
            dict(type="mmext.ScaleValidRange", ranges=ranges),
            dict(type="mmext.PoseFlip", prob=0.5),
            dict(type="mmext.PackPoseDetInputs"),
        ]
    )
)

tta_model = dict(type="mmext.ScaleNormalizedTTA", ranges=ranges)
tta_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="mmext.PoseResize", scale=one, keep_ratio=True) for one in scales],
            [dict(type="mmext.PoseFlip", prob=prob) for prob in (0.0, 1.0)],
            [dict(type="mmext.LoadPoseAnnotations", with_bbox=True)],
            [dict(type="mmext.PackPoseDetInputs")],
        ],
    ),
]
