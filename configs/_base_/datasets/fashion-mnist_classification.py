"""Fashion-MNIST: 50,000 training pictures, the other 10,000 of that file for validation.

The official 10,000 test pictures are for the one look at the end. A config may take fewer:
``train_dataloader = dict(dataset=dict(indices=2000))``.
"""

data_command = "mmext data fashion_mnist"  # what to run when the files below are missing

dataset_type = "mmext.IdxClsDataset"
data_root = "data/fashion_mnist/"
metainfo = dict(
    classes=(
        "T-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
)
train_files = dict(
    ann_file="train-labels-idx1-ubyte.gz",
    data_prefix=dict(img_path="train-images-idx3-ubyte.gz"),
)
test_files = dict(
    ann_file="t10k-labels-idx1-ubyte.gz",
    data_prefix=dict(img_path="t10k-images-idx3-ubyte.gz"),
)

# The data set gives pictures; the demo, which gives files, has them read and shrunk.
train_pipeline = [
    dict(type="mmext.LoadImageUnlessGiven", color_type="grayscale"),
    dict(type="mmext.PackClsInputs"),
]
test_pipeline = [
    dict(type="mmext.LoadImageUnlessGiven", color_type="grayscale"),
    dict(type="Resize", scale=(28, 28)),
    dict(type="mmext.PackClsInputs"),
]

# No workers: the pictures are in memory, and handing one over takes a worker ten times as long as
# making it.
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        indices=50000,
        pipeline=train_pipeline,
        **train_files,
    ),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=0,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        indices=-10000,
        test_mode=True,
        pipeline=test_pipeline,
        **train_files,
    ),
)
test_dataloader = dict(
    batch_size=256,
    num_workers=0,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        test_mode=True,
        pipeline=test_pipeline,
        **test_files,
    ),
)

val_evaluator = [dict(type="mmext.TopKAccuracy", topk=1), dict(type="mmext.CalibrationMetric")]
test_evaluator = val_evaluator
