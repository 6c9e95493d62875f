"""DetectoRS with Hybrid Task Cascade, ResNeXt-101-32x4d, as the authors train it: 40 epochs.

Run       tools/dist_train.sh
          configs/detection/detecto_rs/detectors_htc_x101-32x4d_fpn_8xb2-ms-40e_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  box AP 53.3, mask AP 45.8 on test-dev (the authors' README, with their first version's
          heads)
"""

_base_ = [
    "../../_base_/models/htc_r50_fpn.py",
    "../../_base_/datasets/coco_instance.py",
    "../../_base_/schedules/sgd_40e.py",
    "../../_base_/runtime.py",
]

net = dict(
    type="mmext.DetectoRS_ResNeXt",
    depth=101,
    groups=32,
    base_width=4,
    num_stages=4,
    out_indices=(0, 1, 2, 3),
    frozen_stages=1,
    norm_cfg=dict(type="BN", requires_grad=True),
    norm_eval=True,
    style="pytorch",
    init_cfg=dict(type="Pretrained", checkpoint="open-mmlab://resnext101_32x4d"),
    conv_cfg=dict(type="mmext.ConvAWS"),
    sac=dict(type="mmext.SAC", use_deform=True),
    stage_with_sac=(False, True, True, True),
)
model = dict(
    backbone=dict(_delete_=True, output_img=True, **net),
    neck=dict(type="mmext.RFP", rfp_backbone=dict(rfp_inplanes=256, **net)),
    test_cfg=dict(rcnn=dict(nms=dict(type="soft_nms"))),
)

train_dataloader = dict(
    dataset=dict(data_prefix={{_base_.seg_prefix}}, pipeline={{_base_.ms_seg_train_pipeline}})
)
optim_wrapper = dict(optimizer=dict(lr=0.02), clip_grad=dict(max_norm=35, norm_type=2))
