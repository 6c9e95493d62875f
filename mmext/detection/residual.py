"""mmdet's residual blocks up to their last ReLU, for papers that put something before it.

The host's blocks run through to the ReLU; what comes before it is told here once.
"""

from mmdet.models.backbones import resnet
from torch import Tensor


def basic_sum(block: resnet.BasicBlock, x: Tensor) -> Tensor:
    """Residual branch plus shortcut of a block with two 3x3 convolutions."""
    out = block.relu(block.norm1(block.conv1(x)))
    out = block.norm2(block.conv2(out))
    return out + (x if block.downsample is None else block.downsample(x))


def bottleneck_sum(block: resnet.Bottleneck, x: Tensor) -> Tensor:
    """Residual branch, with the host's plug-ins, plus shortcut of a 1x1, 3x3, 1x1 block."""
    out = x
    for i in (1, 2, 3):
        out = getattr(block, f"norm{i}")(getattr(block, f"conv{i}")(out))
        out = block.relu(out) if i < 3 else out
        if block.with_plugins:
            out = block.forward_plugin(out, getattr(block, f"after_conv{i}_plugin_names"))
    return out + (x if block.downsample is None else block.downsample(x))
