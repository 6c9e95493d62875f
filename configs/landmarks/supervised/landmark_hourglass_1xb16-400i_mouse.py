"""Two narrow hourglasses on a running mouse: 17 points, 70 labelled frames.

Run       python tools/data/mouse.py && python tools/train.py
          configs/landmarks/supervised/landmark_hourglass_1xb16-400i_mouse.py --seed 0
Hardware  any CPU, three minutes on one core
Expected  NME 7.0 % of the side, 65 % of the points within 5 % (one run, seed 0, the 20 frames of
          test_20)
"""

_base_ = [
    "../../_base_/models/hourglass_256.py",
    "../../_base_/datasets/mouse_landmarks.py",
    "../../_base_/schedules/adamw_400i.py",
    "../../_base_/runtime_landmarks_iters.py",
]

model = dict(
    net=dict(
        type="mmext.StackedHourglass", num_keypoints=17, num_stacks=2, blocks=1, width_mult=0.25
    ),
    codec=dict(input_size=128, sigma=8.0),
)
optim_wrapper = dict(optimizer=dict(lr=2e-3, weight_decay=1e-3))
