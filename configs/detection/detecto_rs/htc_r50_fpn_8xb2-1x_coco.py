"""Hybrid Task Cascade, ResNet-50: the paper's baseline in mmdet's zoo.

Run       tools/dist_train.sh
          configs/detection/detecto_rs/htc_r50_fpn_8xb2-1x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  box AP 42.3, mask AP 37.4 (mmdet's model zoo, val2017)
"""

_base_ = [
    "../../_base_/models/htc_r50_fpn.py",
    "../../_base_/datasets/coco_instance.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

train_dataloader = dict(
    dataset=dict(data_prefix={{_base_.seg_prefix}}, pipeline={{_base_.seg_train_pipeline}})
)
optim_wrapper = dict(optimizer=dict(lr=0.02))
