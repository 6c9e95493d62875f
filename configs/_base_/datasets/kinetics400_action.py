"""Kinetics-400, 400 classes, videos and lists as mmaction2's tools lay them out.

For pipelines/videos_224.py, which says how a config joins the two.
"""

data_root = "data/kinetics400/"
train_set = dict(
    type="VideoDataset",
    ann_file=data_root + "kinetics400_train_list_videos.txt",
    data_prefix=dict(video=data_root + "videos_train"),
)
val_set = dict(
    type="VideoDataset",
    ann_file=data_root + "kinetics400_val_list_videos.txt",
    data_prefix=dict(video=data_root + "videos_val"),
    test_mode=True,
)
flips = [dict(type="Flip", flip_ratio=0.5)]
