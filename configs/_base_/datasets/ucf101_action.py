"""UCF-101, 101 classes, videos and lists as mmaction2's tools lay them out.

For pipelines/videos_224.py, which says how a config joins the two.
Split 1 of 3; the paper's number is the mean over three runs: --cfg-options changes the lists.
"""

data_root = "data/ucf101/"
train_set = dict(
    type="VideoDataset",
    ann_file=data_root + "ucf101_train_split_1_videos.txt",
    data_prefix=dict(video=data_root + "videos"),
)
val_set = dict(
    type="VideoDataset",
    ann_file=data_root + "ucf101_val_split_1_videos.txt",
    data_prefix=dict(video=data_root + "videos"),
    test_mode=True,
)
flips = [dict(type="Flip", flip_ratio=0.5)]
