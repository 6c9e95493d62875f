"""One line changed in a config of each host: a training and a test step, and ONNX with equality."""

import pytest
import torch
from mmengine.config import Config

from tests.classification.fbnetv3.nets import TINY
from tests.contract import action, detection, segmentation
from tests.contract.parts import ROOT, built
from tests.fresh_process import run


def steps(host, model, size=(64, 96)):
    """Loss and predictions are finite, every parameter that learns has a gradient."""
    classes = host.num_classes(model)
    loss = host.loss(model, host.batch((2, 1), size, num_classes=classes))
    loss.backward()
    assert torch.isfinite(loss)
    missing = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing
    host.check_predictions(model, host.predictions(model, host.batch((0,), size)), size)


def test_mmdet_s_fpn_detector():
    path = ROOT / "configs/detection/fbnetv3/faster-rcnn_fbnetv3-a_fpn_8xb2-1x_coco.py"
    model = detection.build(path)
    assert not any(p.requires_grad for p in model.backbone.stages[0].parameters())
    steps(detection, model)


def test_mmseg_s_fcn():
    path = ROOT / "configs/segmentation/fbnetv3/fcn_fbnetv3-a_4xb4-160k_ade20k-512x512.py"
    cfg = Config.fromfile(path)
    cfg.model.data_preprocessor.pop("size")  # small batches would be padded to the full crop
    cfg.model.data_preprocessor.size_divisor = 32
    for part in (cfg.model.backbone, cfg.model.decode_head, cfg.model.auxiliary_head):
        part.norm_cfg = dict(type="BN")  # the config's SyncBN needs GPUs
    from mmseg.registry import MODELS

    steps(segmentation, built(cfg, MODELS))


def test_mmaction2_s_tsn():
    from mmaction.registry import MODELS

    cfg = Config.fromfile(ROOT / "configs/_base_/models/tsn_r50.py")
    cfg.default_scope = "mmaction"
    cfg.model.backbone = dict(type="mmext.FBNetV3", arch="a0", out_indices=(4,), single_map=True)
    cfg.model.cls_head.update(in_channels=208, num_classes=7)
    model = built(cfg, MODELS)
    steps(action, model, action.image_size(model))


ONNX = """
    import logging, warnings
    import onnxruntime, torch
    from torch.testing import assert_close
    from mmext.classification.fbnetv3.backbone import FBNetV3
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    for padding, sizes in (("same", ((2, 64, 96), (1, 50, 33))), ("official", ((2, 64, 96),))):
        net = FBNetV3(ARCH, padding=padding).eval()
        for norm in [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]:
            norm.weight.data.uniform_(0.3, 0.9)  # no block is the identity
            norm.running_mean.normal_(std=0.1)
        inputs = [torch.randn(n, 3, h, w) for n, h, w in sizes]
        axes = {"x": {0: "batch", 2: "height", 3: "width"}}
        torch.onnx.export(
            net, (inputs[0],), "net.onnx", dynamo=False, input_names=["x"], dynamic_axes=axes
        )
        session = onnxruntime.InferenceSession("net.onnx")
        for x in inputs:
            found = session.run(None, {"x": x.numpy()})
            for one, want in zip(found, net(x), strict=True):
                scale = float(want.std())
                assert 1e-3 < scale < 1e3, scale
                assert_close(torch.from_numpy(one), want.detach(), rtol=1e-3, atol=1e-3 * scale)
"""


def test_onnx_gives_the_same_for_any_batch_height_and_width(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    run(ONNX.replace("ARCH", repr(TINY)), cwd=tmp_path)
