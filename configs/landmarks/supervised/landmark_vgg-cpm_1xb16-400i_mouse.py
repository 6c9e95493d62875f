"""A narrow pose machine on a running mouse: 17 points, 70 labelled frames.

Run       python tools/data/mouse.py && python tools/train.py
          configs/landmarks/supervised/landmark_vgg-cpm_1xb16-400i_mouse.py
Hardware  two CPU cores
Expected  NME 9.8 % of the crop's side, 33 % of the points within 5 % (one run, the 20 frames of
          test_20); cells of 8 pixels are coarse at this size, and so short a run is not its end
"""

_base_ = [
    "../../_base_/models/vgg-cpm_256.py",
    "../../_base_/datasets/mouse_landmarks.py",
    "../../_base_/schedules/adamw_400i.py",
    "../../_base_/runtime_landmarks_iters.py",
]

model = dict(
    net=dict(
        type="mmext.VGGCPM",
        num_keypoints=17,
        num_stages=2,
        width_mult=0.25,
        # weights drawn with a deviation of 0.01 are for a trunk that is pretrained
        init_cfg=dict(type="Kaiming", layer="Conv2d"),
    ),
    codec=dict(input_size=128, sigma=10.0),
    loss="mean",
)
# the factors of the paper on a rate for AdamW
optim_wrapper = dict(
    constructor="mmext.CPMOptimWrapperConstructor", optimizer=dict(lr=1e-3, weight_decay=1e-3)
)
