"""TS3 with 20 % of the labels of AFLW, 4,000 faces of 19 points; the others get theirs in rounds.

Run       python tools/train.py
          configs/landmarks/ts3/ts3_cpm-hourglass_1xb8-60k_aflw-20pct.py
Hardware  one GPU
Expected  none measured, and none in what could be read of the paper
"""

_base_ = [
    "../../_base_/models/ts3_cpm-hourglass_256.py",
    "../../_base_/datasets/aflw_landmarks.py",
    "../../_base_/schedules/ts3_60k.py",
    "../../_base_/runtime_landmarks_iters.py",
]

model = dict(
    students=[
        dict(
            type="mmext.LandmarkDetector",
            net=dict(type="mmext.VGGCPM", num_keypoints=19, num_stages=3),
            codec=dict(type="mmext.GaussianHeatmapCodec", input_size=256, stride=8, sigma=4.0),
            loss="sum",
        ),
        dict(
            type="mmext.LandmarkDetector",
            net=dict(type="mmext.StackedHourglass", num_keypoints=19, num_stacks=4),
            codec=dict(type="mmext.GaussianHeatmapCodec", input_size=256, stride=4, sigma=3.0),
            loss="mean",
        ),
    ],
)

# The same draw, once for each half.
train_dataloader = dict(dataset=dict(labeled_share=0.2, share_seed=0))
unlabeled_dataloader = dict(
    batch_size=16,
    num_workers=4,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="mmext.AFLWMatDataset",
        data_root="data/aflw/",
        ann_file="AFLWinfo_release.mat",
        data_prefix=dict(img_path="images/"),
        split="train",
        labeled_share=0.2,
        share_seed=0,
        take="unlabeled",
        test_mode=True,
        pipeline=[
            dict(type="mmext.LoadFace"),
            dict(type="mmext.FaceCrop", size=256, margin=0.2),
            dict(type="mmext.PackLandmark"),
        ],
    ),
)

default_hooks = dict(checkpoint=dict(interval=4000))
