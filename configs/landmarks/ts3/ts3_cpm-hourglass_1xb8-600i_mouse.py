"""TS3 on a running mouse: 20 labelled frames, 150 without labels, two rounds.

Run       python tools/data/mouse.py && python tools/train.py
          configs/landmarks/ts3/ts3_cpm-hourglass_1xb8-600i_mouse.py --seed 0
Hardware  any CPU, about four minutes on one core
Expected  NME 9.4 % of the side on 20 frames, 53 % of the points within 5 % (one run, seed 0)
Look at   work_dirs/<this name>/round_2/report.json: do scores tell good labels from bad ones?
"""

_base_ = [
    "../../_base_/datasets/mouse_landmarks.py",
    "../../_base_/runtime_landmarks_iters.py",
]

model = dict(
    type="mmext.TS3",
    data_preprocessor=dict(type="mmext.LandmarkDataPreprocessor"),
    students=[
        dict(
            type="mmext.LandmarkDetector",
            net=dict(
                type="mmext.VGGCPM",
                num_keypoints=17,
                num_stages=2,
                width_mult=0.125,
                # weights drawn with a deviation of 0.01 are for a trunk that is pretrained
                init_cfg=dict(type="Kaiming", layer="Conv2d"),
            ),
            codec=dict(
                type="mmext.GaussianHeatmapCodec", input_size=128, stride=8, sigma=8.0, window=2
            ),
            loss="mean",
        ),
        dict(
            type="mmext.LandmarkDetector",
            net=dict(
                type="mmext.StackedHourglass",
                num_keypoints=17,
                num_stacks=1,
                blocks=1,
                width_mult=0.125,
            ),
            codec=dict(type="mmext.GaussianHeatmapCodec", input_size=128, stride=4, sigma=6.0),
            loss="mean",
        ),
    ],
    teacher=dict(type="mmext.PatchTeacher", width=32),
)

# Whole frames: the boxes in the files lie around labels, which most frames here do not have.
train_pipeline = [
    dict(type="mmext.LoadFace", whole=True),
    dict(type="mmext.FaceCrop", size=128, margin=0.0),
    dict(type="mmext.RandomFaceAffine", scale=(0.9, 1.1), rotation=15.0, shift=0.05, colour=0.2),
    dict(type="mmext.PackLandmark"),
]
test_pipeline = [
    dict(type="mmext.LoadFace", whole=True),
    dict(type="mmext.FaceCrop", size=128, margin=0.0),
    dict(type="mmext.PackLandmark"),
]

# 20 of the 70 frames keep their labels; the labels of the other 50 are in the report alone.
train_dataloader = dict(
    batch_size=8, dataset=dict(labeled_share=2 / 7, share_seed=0, pipeline=train_pipeline)
)
unlabeled_dataloader = dict(
    batch_size=16,
    num_workers=1,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="ConcatDataset",
        ignore_keys=["keypoint_names", "flip_pairs", "skeleton"],
        datasets=[
            dict(
                type="mmext.COCOLandmarkDataset",
                data_root="data/mouse/",
                ann_file="annotations/train_70.json",
                data_prefix=dict(img_path="images/"),
                labeled_share=2 / 7,
                share_seed=0,
                take="unlabeled",
                test_mode=True,
                pipeline=test_pipeline,
            ),
            dict(
                type="mmext.VideoFrames",
                data_root="data/mouse/",
                data_prefix=dict(img_path="unlabeled/"),
                num_keypoints=17,
                every=10,
                test_mode=True,
                pipeline=test_pipeline,
            ),
        ],
    ),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(
    type="mmext.TS3TrainLoop",
    warmup_iters=300,
    round_iters=150,
    rounds=2,
    val_interval=150,
)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

optim_wrapper = dict(
    type="OptimWrapper",
    constructor="mmext.TS3OptimWrapperConstructor",
    student_a=dict(optimizer=dict(type="AdamW", lr=5e-4, weight_decay=0.01)),
    student_b=dict(optimizer=dict(type="AdamW", lr=2e-3, weight_decay=0.01)),
    teacher=dict(optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.01)),
)
param_scheduler = [dict(type="CosineAnnealingLR", by_epoch=False, T_max=600)]

model_wrapper_cfg = dict(type="MMSeparateDistributedDataParallel")
custom_hooks = [dict(type="mmext.TS3Report")]
default_hooks = dict(checkpoint=dict(interval=150))
