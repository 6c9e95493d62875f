"""DetectoRS in bfloat16, its second step computed again for backward: the README has its memory.

Run       tools/dist_train.sh
          configs/detection/detecto_rs/detectors_cascade-rcnn_r50_fpn_bf16-cp_8xb2-1x_coco.py 8
Hardware  written for 8 GPUs x 2 images; other batch sizes: --auto-scale-lr. Not run by us.
Expected  box AP of the config without "bf16-cp", 47.4 in mmdet's model zoo; ours was not trained
"""

_base_ = [
    "../../_base_/models/cascade_rcnn_r50_fpn.py",
    "../../_base_/datasets/coco_detection.py",
    "../../_base_/schedules/sgd_1x.py",
    "../../_base_/runtime.py",
]

custom_imports = dict(imports=["mmext", "mmext.engine.amp"], allow_failed_imports=False)

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
    neck=dict(type="mmext.RFP", rfp_backbone=dict(rfp_inplanes=256, **net), step_cp=True),
)

optim_wrapper = dict(type="mmext.Bfloat16OptimWrapper", optimizer=dict(lr=0.02))
