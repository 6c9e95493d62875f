"""One config line in each host: a step moves net and matrix, and the log has the loss once."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

from tests.contract import action, classification, detection, segmentation
from tests.contract.parts import ROOT, built

RESIDUAL = dict(_delete_=True, type="mmext.ResidualLabelLoss")
SHIPPED = sorted(
    path
    for path in ROOT.glob("configs/*/*/*.py")
    if "_base_" not in path.parts and "mmext.ResidualLabelLoss" in path.read_text()
)


def detector():
    cfg = Config.fromfile(ROOT / "configs/_base_/models/faster_rcnn_mobilenet-v2_fpn.py")
    head = dict(num_classes=2, loss_cls=dict(RESIDUAL, num_classes=3))  # and background
    cfg.merge_from_dict(dict(model=dict(roi_head=dict(bbox_head=head)), default_scope="mmdet"))
    return detection, cfg, "loss_cls"


def segmentor():
    cfg = Config.fromfile(ROOT / "configs/_base_/models/fcn_mobilenet-v2.py")
    loss = dict(RESIDUAL, num_classes=7)
    cfg.merge_from_dict(dict(model=dict(decode_head=dict(loss_decode=loss)), default_scope="mmseg"))
    return segmentation, cfg, "decode.loss_residual"


def recogniser():
    cfg = Config.fromfile(ROOT / "configs/action/stm/stm_r14_1xb8-800i_motion.py")
    cfg.model.cls_head.loss_cls = dict(type="mmext.ResidualLabelLoss", num_classes=7)
    return action, cfg, "loss_cls"


def classifier():
    path = "configs/classification/residual_labels/residual-labels_mlp_1xb64-25e_fashion-mnist.py"
    return classification, Config.fromfile(ROOT / path), "loss_residual"


@pytest.mark.parametrize("task", [detector, segmentor, recogniser, classifier])
def test_a_step_moves_net_and_matrix(task):
    from mmengine.registry import MODELS

    host, cfg, name = task()
    model = built(cfg, MODELS)
    data = host.batch((3, 2), host.image_size(model), num_classes=host.num_classes(model))
    torch.manual_seed(0)
    prepared = (
        host._preprocess(model, data, training=True)
        if hasattr(host, "_preprocess")
        else model.data_preprocessor(data, training=True)
    )
    losses = model(**prepared, mode="loss")
    assert [key for key in losses if key.endswith(name) and "rpn" not in key] == [name]
    model.parse_losses(losses)[0].backward()
    ((_, matrix),) = (
        (key, p) for key, p in model.named_parameters() if key.endswith("residual_matrix")
    )
    assert matrix.grad.abs().sum() > 0
    assert torch.isfinite(matrix.grad).all()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    found = host.predictions(model, host.batch((1,), host.image_size(model)))
    assert all(torch.isfinite(one).all() for one in found)


def test_weight_decay_leaves_the_matrix_alone():
    """Without the line in the schedule of the shipped configs it would be drawn to the uniform."""
    from mmengine.registry import MODELS

    _, cfg, _ = classifier()
    model = built(cfg, MODELS)
    found = {}
    for line in (cfg.optim_wrapper.pop("paramwise_cfg"), None):
        wrapper = build_optim_wrapper(model, {**cfg.optim_wrapper, "paramwise_cfg": line})
        (group,) = (
            group
            for group in wrapper.param_groups
            if any(p is model.head.loss_module.residual_matrix for p in group["params"])
        )
        found[bool(line)] = group["weight_decay"]
    assert found == {True: 0.0, False: cfg.optim_wrapper.optimizer.weight_decay}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_config_with_a_matrix_has_that_line(path):
    keys = Config.fromfile(path).optim_wrapper.paramwise_cfg.custom_keys
    assert keys["residual_matrix"].decay_mult == 0


def test_each_host_has_a_config_with_a_matrix():
    tasks = {path.parts[-3] for path in SHIPPED}
    assert tasks == {"classification", "detection", "segmentation", "action"}
