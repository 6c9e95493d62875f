"""DetectoRS with Hybrid Task Cascade, ResNet-50, without semantic branch and so without stuff maps.

Run       tools/dist_train.sh
          configs/detection/detecto_rs/detectors_htc-no-semantic_r50_fpn_8xb2-1x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  nothing was published without that branch
"""

_base_ = [
    "../../_base_/models/htc_r50_fpn.py",
    "../../_base_/datasets/coco_instance.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

net = dict(
    type="mmext.DetectoRS_ResNet",
    depth=50,
    num_stages=4,
    out_indices=(0, 1, 2, 3),
    frozen_stages=1,
    norm_cfg=dict(type="BN", requires_grad=True),
    norm_eval=True,
    style="pytorch",
    init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet50"),
    conv_cfg=dict(type="mmext.ConvAWS"),
    sac=dict(type="mmext.SAC", use_deform=True),
    stage_with_sac=(False, True, True, True),
)
model = dict(
    backbone=dict(_delete_=True, output_img=True, **net),
    neck=dict(type="mmext.RFP", rfp_backbone=dict(rfp_inplanes=256, **net)),
    roi_head=dict(semantic_head=None, semantic_roi_extractor=None),
    data_preprocessor=dict(pad_seg=False),
)

optim_wrapper = dict(optimizer=dict(lr=0.02))
