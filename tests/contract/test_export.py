"""Exported to ONNX by both of torch's ways, parts give the same for any batch, height and width."""

import pytest

from tests.fresh_process import run

# In a process of its own: the checks of shapes that run in tests are no part of a graph.
CODE = """
    import logging, warnings
    import onnxruntime, torch
    from torch.export import Dim
    from torch.testing import assert_close
    import mmext
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)

    def maps(channels, *sizes):
        return [torch.randn(batch, channels, height, width) for batch, height, width in sizes]

    def session(net, x, factor, file):
        if DYNAMO:
            dims = (
                Dim("batch", min=2, max=64),
                Dim("height", min=2, max=64),
                Dim("width", min=2, max=64),
            )
            shapes = {axis: n * dim for axis, n, dim in zip((0, 2, 3), factor, dims) if n}
            torch.onnx.export(net, (x,), file, dynamo=True, dynamic_shapes=(shapes,), verbose=False)
        else:
            axes = {"x": {0: "batch", 2: "height", 3: "width"}}
            torch.onnx.export(net, (x,), file, dynamo=False, input_names=["x"], dynamic_axes=axes)
        return onnxruntime.InferenceSession(file)

    def check(net, inputs, factor=(1, 1, 1)):
        torch.manual_seed(0)
        for parameter in net.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        net.eval()
        there = session(net, inputs[0], factor, "net.onnx")
        for x in inputs:
            (out,) = there.run(None, {there.get_inputs()[0].name: x.numpy()})
            assert_close(torch.from_numpy(out), net(x), rtol=1e-3, atol=1e-4)

    class Head(torch.nn.Module):
        def __init__(self, head):
            super().__init__()
            self.head = head

        def forward(self, x):
            return self.head([x])

    SIZES = ((3, 9, 7), (2, 12, 20), (5, 6, 5))
"""

SEGMENTATION = """
    from mmext.layers.em_attention import EMAUnit2d
    from mmext.segmentation.dnl import DNLHead
    from mmext.segmentation.emanet import EMAHead
    sizes = dict(in_channels=16, channels=8, num_classes=5, norm_cfg=dict(type="BN"))
    check(Head(EMAHead(ema_channels=12, num_bases=6, num_stages=3, **sizes)), maps(16, *SIZES))
    check(EMAUnit2d(16, num_bases=6), maps(16, *SIZES))
    for cfg in (
        dict(),
        dict(variant="segmentation"),
        dict(variant="detection", sub_sample=True),
        dict(mode="concatenation"),
    ):
        check(Head(DNLHead(**cfg, **sizes)), maps(16, *SIZES))
"""

ACTION = """
    from mmext.action.stm.backbone import ResNetSTM
    net = ResNetSTM(14, base_channels=16, num_segments=4)
    check(net, maps(3, (12, 96, 64), (8, 64, 96), (4, 64, 64)), factor=(4, 32, 32))
"""


@pytest.mark.parametrize(
    "dynamo",
    [
        pytest.param(True, marks=pytest.mark.slow, id="dynamo"),
        pytest.param(False, id="TorchScript"),
    ],
)
@pytest.mark.parametrize("parts", [SEGMENTATION, ACTION], ids=["segmentation", "action"])
def test_onnx_gives_the_same_for_any_batch_height_and_width(parts, dynamo, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript" if dynamo else "onnx")
    run(CODE.replace("DYNAMO", str(dynamo)) + parts, cwd=tmp_path)
