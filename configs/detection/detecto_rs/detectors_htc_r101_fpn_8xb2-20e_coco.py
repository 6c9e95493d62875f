"""DetectoRS with Hybrid Task Cascade, ResNet-101, 20 epochs.

Run       tools/dist_train.sh
          configs/detection/detecto_rs/detectors_htc_r101_fpn_8xb2-20e_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  mmdet has this config and no result; without DetectoRS its zoo has box AP 44.8, mask AP
          39.6
"""

_base_ = [
    "../../_base_/models/htc_r50_fpn.py",
    "../../_base_/datasets/coco_instance.py",
    "../../_base_/schedules/sgd_20e.py",
    "../../_base_/runtime.py",
]

net = dict(
    type="mmext.DetectoRS_ResNet",
    depth=101,
    num_stages=4,
    out_indices=(0, 1, 2, 3),
    frozen_stages=1,
    norm_cfg=dict(type="BN", requires_grad=True),
    norm_eval=True,
    style="pytorch",
    init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet101"),
    conv_cfg=dict(type="mmext.ConvAWS"),
    sac=dict(type="mmext.SAC", use_deform=True),
    stage_with_sac=(False, True, True, True),
)
model = dict(
    backbone=dict(_delete_=True, output_img=True, **net),
    neck=dict(type="mmext.RFP", rfp_backbone=dict(rfp_inplanes=256, **net)),
)

train_dataloader = dict(
    dataset=dict(data_prefix={{_base_.seg_prefix}}, pipeline={{_base_.seg_train_pipeline}})
)
optim_wrapper = dict(optimizer=dict(lr=0.02))
