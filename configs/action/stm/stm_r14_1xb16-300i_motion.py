"""STM on camera motion from random weights, a small net: minutes on a CPU.

Run       python tools/data/camera_motion.py &&
          python tools/train.py configs/action/stm/stm_r14_1xb16-300i_motion.py
Hardware  one CPU core, about two minutes
Expected  see the README here
"""

_base_ = [
    "../../_base_/models/tsm_r50.py",
    "../../_base_/datasets/motion_action.py",
    "../../_base_/schedules/adamw_300i.py",
    "../../_base_/runtime_action_iters.py",
]

model = dict(
    backbone=dict(type="mmext.ResNetSTM", depth=14, base_channels=16, pretrained=None),
    # A net of random weights on a short schedule needs a head that is neither small nor dropped out.
    cls_head=dict(num_classes=7, in_channels=512, dropout_ratio=0.0, init_std=0.01, topk=(1,)),
)
