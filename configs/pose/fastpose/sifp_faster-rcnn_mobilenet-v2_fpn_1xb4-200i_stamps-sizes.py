"""Scale-normalised boxes of cut-outs of 24 to 200 pixels, without points: a minute on a CPU.

Each picture of 320 pixels is trained at 448, 288 or 160, at as many pixels as without a change of
size on average, and each scale learns the objects that measure 20 to 100 pixels there, as roots of
areas, with open ends. The study scale_normalised compares it with one scale, and with these scales
without ranges, all on frozen features. Without --tta, and so while this trains, it is tested at 320
pixels.

Run       mmext data stamps_sizes && mmext data mobilenet_v2 && python tools/train.py
          configs/pose/fastpose/sifp_faster-rcnn_mobilenet-v2_fpn_1xb4-200i_stamps-sizes.py, then
          tools/test.py with it, the checkpoint and --tta
Hardware  any CPU, about two minutes on one core
Expected  AP 0.34 on the 100 pictures for choosing with --tta and the backbone frozen (one run)
"""

_base_ = [
    "../../_base_/models/faster_rcnn_mobilenet-v2_fpn.py",
    "../../_base_/datasets/stamps_sizes_detection.py",
    "../../_base_/schedules/adamw_200i.py",
    "../../_base_/runtime_iters.py",
]

model = dict(
    roi_head=dict(bbox_head=dict(num_classes=1)),
    train_cfg=dict(
        rpn=dict(assigner=dict(type="mmext.SNIPAssigner", ignore_iou_thr=0.3)),
        rcnn=dict(assigner=dict(type="mmext.SNIPAssigner", ignore_iou_thr=0.5)),
    ),
)

scales = [(448, 448), (288, 288), (160, 160)]
ranges = [(0, 100), (20, 100), (20, None)]

train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True),
            dict(
                type="RandomChoiceResize",
                scales=scales,
                resize_type="mmext.PoseResize",
                keep_ratio=True,
            ),
            dict(type="mmext.ScaleValidRange", ranges=ranges),
            dict(type="RandomFlip", prob=0.5),
            dict(type="PackDetInputs"),
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
            [dict(type="LoadAnnotations", with_bbox=True)],
            [
                dict(
                    type="PackDetInputs",
                    meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
                )
            ],
        ],
    ),
]
