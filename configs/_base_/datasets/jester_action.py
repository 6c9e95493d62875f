"""Jester, 27 classes, frames and lists as mmaction2's tools lay them out.

For pipelines/rawframes_224.py, which says how a config joins the two.
"""

data_root = "data/jester/"
train_set = dict(
    type="RawframeDataset",
    ann_file=data_root + "jester_train_list_rawframes.txt",
    data_prefix=dict(img=data_root + "rawframes"),
    filename_tmpl="{:05}.jpg",
)
val_set = dict(
    type="RawframeDataset",
    ann_file=data_root + "jester_val_list_rawframes.txt",
    data_prefix=dict(img=data_root + "rawframes"),
    filename_tmpl="{:05}.jpg",
    test_mode=True,
)
# A mirrored "swiping left" is a "swiping right", and a map of labels would have to rely on the
# order of the label file, which we could not check.
flips = []
