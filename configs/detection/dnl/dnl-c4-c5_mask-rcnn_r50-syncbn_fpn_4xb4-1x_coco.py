"""DNL in the last but one block of stage 3 (c4) and all of stage 4 (c5), Mask R-CNN, SyncBN, COCO.

Run       tools/dist_train.sh
          configs/detection/dnl/dnl-c4-c5_mask-rcnn_r50-syncbn_fpn_4xb4-1x_coco.py 4
Hardware  4 GPUs, 4 images each
Expected  box AP 41.2, mask AP 37.2 are the authors'; ours is not trained there
"""

_base_ = [
    "../../_base_/models/mask_rcnn_r50_fpn.py",
    "../../_base_/datasets/coco_instance.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

norm_cfg = dict(type="SyncBN", requires_grad=True)
block = dict(type="mmext.DisentangledNonLocal2d", variant="detection")
model = dict(
    backbone=dict(
        type="mmext.PluginResNet",
        norm_cfg=norm_cfg,
        norm_eval=False,
        plugins=[
            dict(cfg=block, stages=(False, False, True, False), blocks=(-2,), position="after_add"),
            dict(cfg=block, stages=(False, False, False, True), position="after_add"),
        ],
    ),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_head=dict(type="Shared4Conv1FCBBoxHead", conv_out_channels=256, norm_cfg=norm_cfg),
        mask_head=dict(norm_cfg=norm_cfg),
    ),
)
train_dataloader = dict(batch_size=4, num_workers=4)
optim_wrapper = dict(optimizer=dict(lr=0.02), clip_grad=dict(max_norm=35, norm_type=2))
auto_scale_lr = dict(base_batch_size=16)
