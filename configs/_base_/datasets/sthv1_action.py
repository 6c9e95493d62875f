"""Something-Something V1, 174 classes, frames and lists as mmaction2's tools lay them out.

For pipelines/rawframes_224.py, which says how a config joins the two.
"""

data_root = "data/sthv1/"
train_set = dict(
    type="RawframeDataset",
    ann_file=data_root + "sthv1_train_list_rawframes.txt",
    data_prefix=dict(img=data_root + "rawframes"),
    filename_tmpl="{:05}.jpg",
)
val_set = dict(
    type="RawframeDataset",
    ann_file=data_root + "sthv1_val_list_rawframes.txt",
    data_prefix=dict(img=data_root + "rawframes"),
    filename_tmpl="{:05}.jpg",
    test_mode=True,
)
# A mirrored "from left to right" is a "from right to left": these labels are swapped with the
# image.
flip_label_map = {2: 4, 4: 2, 30: 41, 41: 30, 52: 66, 66: 52}
flips = [dict(type="Flip", flip_ratio=0.5, flip_label_map=flip_label_map)]
