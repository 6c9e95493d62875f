"""Camera motion over real photographs, seven classes; made by mmext/prepare/camera_motion.py.

1050 training clips and 350 validation clips of 16 frames of 80 x 80 that share no photograph. There
is no third split, so testing means validation. Chance is 1/7 = 0.143.
"""

data_command = "mmext data camera_motion"  # what to run when the files below are missing

dataset_type = "RawframeDataset"
data_root = "data/camera_motion/"
metainfo = dict(
    classes=("rest", "pan_left", "pan_right", "tilt_up", "tilt_down", "zoom_in", "zoom_out"),
)
num_segments = 8

# No flips: they would turn a pan left into a pan right and keep its label.
train_pipeline = [
    dict(type="SampleFrames", clip_len=1, frame_interval=1, num_clips=num_segments),
    dict(type="RawFrameDecode"),
    dict(type="RandomCrop", size=64),  # one place for all frames of a clip
    dict(type="FormatShape", input_format="NCHW"),
    dict(type="PackActionInputs"),
]
test_pipeline = [
    dict(type="SampleFrames", clip_len=1, frame_interval=1, num_clips=num_segments, test_mode=True),
    dict(type="RawFrameDecode"),
    dict(type="CenterCrop", crop_size=64),
    dict(type="FormatShape", input_format="NCHW"),
    dict(type="PackActionInputs"),
]

train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    # With iterations instead of epochs, a finite sampler would pause at each pass over the data.
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        ann_file="annotations/train.txt",
        data_prefix=dict(img="train"),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        ann_file="annotations/val.txt",
        data_prefix=dict(img="val"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="AccMetric", metric_options=dict(top_k_accuracy=dict(topk=(1,))))
test_evaluator = val_evaluator
