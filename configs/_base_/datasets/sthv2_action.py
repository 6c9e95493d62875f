"""Something-Something V2, 174 classes, videos and lists as mmaction2's tools lay them out.

For pipelines/videos_224.py, which says how a config joins the two.
"""

data_root = "data/sthv2/"
train_set = dict(
    type="VideoDataset",
    ann_file=data_root + "sthv2_train_list_videos.txt",
    data_prefix=dict(video=data_root + "videos"),
)
val_set = dict(
    type="VideoDataset",
    ann_file=data_root + "sthv2_val_list_videos.txt",
    data_prefix=dict(video=data_root + "videos"),
    test_mode=True,
)
# A mirrored "from left to right" is a "from right to left": these labels are swapped with the
# image.
flip_label_map = {86: 87, 87: 86, 93: 94, 94: 93, 166: 167, 167: 166}
flips = [dict(type="Flip", flip_ratio=0.5, flip_label_map=flip_label_map)]
