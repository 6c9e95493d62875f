"""Kinetics-400, 400 classes, at 224 x 224, videos and lists as mmaction2's tools lay them out.

``train_pipeline`` and its like have 8 frames; the ``_16`` ones have 16, and a config names them:
``train_dataloader = dict(dataset=dict(pipeline={{_base_.train_pipeline_16}}))``.
The ``views30`` ones are the protocol of STM's paper: 10 samplings in time, three crops of 256 resized to 224.
"""

dataset_type = "VideoDataset"
data_root = "data/kinetics400/"


def _train(frames):
    return [
        dict(type="DecordInit"),
        dict(type="SampleFrames", clip_len=1, frame_interval=1, num_clips=frames),
        dict(type="DecordDecode"),
        dict(type="Resize", scale=(-1, 256)),
        dict(
            type="MultiScaleCrop",
            input_size=224,
            scales=(1, 0.875, 0.75, 0.66),
            random_crop=False,
            max_wh_scale_gap=1,
            num_fixed_crops=13,
        ),
        dict(type="Resize", scale=(224, 224), keep_ratio=False),
        dict(type="Flip", flip_ratio=0.5),
        dict(type="FormatShape", input_format="NCHW"),
        dict(type="PackActionInputs"),
    ]


def _test(frames):
    return [
        dict(type="DecordInit"),
        dict(type="SampleFrames", clip_len=1, frame_interval=1, num_clips=frames, test_mode=True),
        dict(type="DecordDecode"),
        dict(type="Resize", scale=(-1, 256)),
        dict(type="CenterCrop", crop_size=224),
        dict(type="FormatShape", input_format="NCHW"),
        dict(type="PackActionInputs"),
    ]


def _views30(frames):
    return [
        dict(type="DecordInit"),
        dict(type="mmext.SegmentRepeatSample", num_segments=frames, num_repeats=10, seed=0),
        dict(type="DecordDecode"),
        dict(type="Resize", scale=(-1, 256)),
        dict(type="ThreeCrop", crop_size=256),
        dict(type="Resize", scale=(224, 224), keep_ratio=False),
        dict(type="FormatShape", input_format="NCHW"),
        dict(type="PackActionInputs"),
    ]


train_pipeline, train_pipeline_16 = _train(8), _train(16)
test_pipeline, test_pipeline_16 = _test(8), _test(16)
views30_pipeline, views30_pipeline_16 = _views30(8), _views30(16)

train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        ann_file=data_root + "kinetics400_train_list_videos.txt",
        data_prefix=dict(video=data_root + "videos_train"),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        ann_file=data_root + "kinetics400_val_list_videos.txt",
        data_prefix=dict(video=data_root + "videos_val"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        ann_file=data_root + "kinetics400_val_list_videos.txt",
        data_prefix=dict(video=data_root + "videos_val"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)

val_evaluator = dict(type="AccMetric")
test_evaluator = val_evaluator
