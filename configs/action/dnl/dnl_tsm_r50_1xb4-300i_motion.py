"""DNL in TSM from random weights: minutes on a CPU.

Run       python tools/data/camera_motion.py && python tools/train.py
          configs/action/dnl/dnl_tsm_r50_1xb4-300i_motion.py
Hardware  two CPU cores
Expected  trains; its accuracy has not been measured
"""

_base_ = [
    "../../_base_/models/tsm_r50.py",
    "../../_base_/datasets/motion_action.py",
    "../../_base_/schedules/adamw_300i.py",
    "../../_base_/runtime_action_iters.py",
]

model = dict(
    backbone=dict(
        type="mmext.ResNetTSMDNL",
        pretrained=None,
        norm_eval=True,  # four clips are too few for statistics
        non_local=((0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0, 1, 0), (0, 0, 0)),
        non_local_cfg=dict(type="mmext.DisentangledNonLocal3d", variant="detection"),
    ),
    cls_head=dict(num_classes=7, dropout_ratio=0.0),
)
