"""Clips of 224 x 224 from frames that lie as images in a folder: videos_224.py, read another way.

How a config joins this and its data set stands there.
"""


def _frames(sampler):
    return [
        sampler,
        dict(type="RawFrameDecode"),
        dict(type="Resize", scale=(-1, 256)),
    ]


def _train(frames):
    return [
        *_frames(dict(type="SampleFrames", clip_len=1, frame_interval=1, num_clips=frames)),
        dict(
            type="MultiScaleCrop",
            input_size=224,
            scales=(1, 0.875, 0.75, 0.66),
            random_crop=False,
            max_wh_scale_gap=1,
            num_fixed_crops=13,
        ),
        dict(type="Resize", scale=(224, 224), keep_ratio=False),
    ]


def _test(frames):
    return [
        *_frames(
            dict(
                type="SampleFrames", clip_len=1, frame_interval=1, num_clips=frames, test_mode=True
            )
        ),
        dict(type="CenterCrop", crop_size=224),
        *pack,
    ]


def _views30(frames):
    return [
        *_frames(
            dict(type="mmext.SegmentRepeatSample", num_segments=frames, num_repeats=10, seed=0)
        ),
        dict(type="ThreeCrop", crop_size=256),
        dict(type="Resize", scale=(224, 224), keep_ratio=False),
        *pack,
    ]


def _loader(batch_size, shuffle):
    sampler = dict(type="DefaultSampler", shuffle=shuffle)
    return dict(batch_size=batch_size, num_workers=8, persistent_workers=True, sampler=sampler)


pack = [dict(type="FormatShape", input_format="NCHW"), dict(type="PackActionInputs")]
train_crops, train_crops_16 = _train(8), _train(16)
test_pipeline, test_pipeline_16 = _test(8), _test(16)
views30_pipeline, views30_pipeline_16 = _views30(8), _views30(16)

train_dataloader, val_dataloader = _loader(8, shuffle=True), _loader(8, shuffle=False)
test_dataloader = _loader(1, shuffle=False)

val_evaluator = dict(type="AccMetric")
test_evaluator = val_evaluator
