"""SelfTrainingWrapper around real models: detectors, a segmentor with an auxiliary head, ours."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmext.self_training.pseudo_labels.wrapper import SelfTrainingWrapper
from tests.contract import classification, detection, segmentation
from tests.contract.parts import ROOT, built

MODELS = [
    (detection, "mmdet", "retinanet_mobilenet-v2_fpn"),
    (detection, "mmdet", "faster_rcnn_mobilenet-v2_fpn"),
    (detection, "mmdet", "mask_rcnn_r50_fpn"),
    (segmentation, "mmseg", "fcn_r50-d8"),
    (classification, "mmengine", "mlp_28x28"),
]


def smaller(model):
    """ResNet-18 for 50: its widths are a quarter."""
    if model.get("backbone", {}).get("depth") == 50:
        model.backbone.update(depth=18)
        model.pop("pretrained", None)
        if "neck" in model:
            model.neck.in_channels = [64, 128, 256, 512]
        for head in ("decode_head", "auxiliary_head"):
            if head in model:
                model[head].in_channels //= 4
    return model


def model_of(host, scope, name):
    from mmengine.registry import MODELS as ANY

    cfg = Config.fromfile(ROOT / f"configs/_base_/models/{name}.py")
    smaller(cfg.model)
    if host is detection:
        detection.lessen(cfg.model)
    if host is segmentation:
        cfg.model.data_preprocessor.pop("size", None)
        cfg.model.data_preprocessor.size_divisor = 32
    cfg.default_scope = scope
    return built(cfg, ANY)


@pytest.mark.parametrize(("host", "scope", "name"), MODELS, ids=[one[2] for one in MODELS])
def test_a_step_is_one_of_each_source_and_the_original_loads_the_student(host, scope, name):
    with DefaultScope.overwrite_default_scope(scope):
        inner = model_of(host, scope, name)
        model = SelfTrainingWrapper(inner, alpha=1.0)
        size = (28, 28) if host is classification else host.image_size(inner)
        data = host.batch((3, 2), size)
        data["data_samples"][1].set_metainfo({"source": "pseudo"})
        if host is classification:
            data["inputs"] = [image[:1] for image in data["inputs"]]
        batch = inner.data_preprocessor(copy.deepcopy(data), True)
        raw = model(**batch, mode="loss")
        total, logged = model.parse_losses(raw)
        total.backward()
        assert torch.isfinite(total)
        # In a first step the joint loss is the human one, whatever the branches are.
        human = sum(value for key, value in logged.items() if is_loss(key, "human."))
        torch.testing.assert_close(total, human)
        grads = [p.grad is not None for p in inner.parameters() if p.requires_grad]
        assert all(grads)
        original = model_of(host, scope, name)
        missing, unexpected = original.load_state_dict(model.state_dict(), strict=False)
        assert (missing, set(unexpected)) == ([], {"self_training.sums", "self_training.weights"})


def is_loss(key, source):
    return key.startswith(source) and "acc" not in key
