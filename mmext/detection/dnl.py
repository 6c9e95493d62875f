"""DNL for detection: a ResNet with plug-ins in single blocks, also after the residual addition.

Paper     DNL, Yin et al. 2020, https://arxiv.org/abs/2006.06668
Idea      The authors put the block into the last but one block of stage 3, between addition and
          ReLU.
Host      mmdet.ResNet, whose plug-ins go into every block of a stage and before the addition
Deviates  none known; the block itself is mmext/layers/disentangled_non_local.py with
          variant="detection".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mmdet.models.backbones import ResNet, resnet
from mmdet.models.layers import ResLayer
from torch import Tensor, nn

from mmext.detection.residual import basic_sum, bottleneck_sum
from mmext.layers import disentangled_non_local  # noqa: F401  registers what this is for
from mmext.layers.recompute import recomputed
from mmext.layers.trained_start import initialise, note_loads, thaw_random
from mmext.registry import MODELS

AFTER_CONV = ("after_conv1", "after_conv2", "after_conv3")
AFTER_ADD = "after_add"


class TakesPlugins(nn.Module):
    """A residual block with plug-ins between the addition and the last ReLU."""

    LAST_CONV: str
    LAST_NORM: str

    relu: nn.Module
    with_cp: bool

    def residual_sum(self, x: Tensor) -> Tensor:
        """Residual branch plus shortcut."""
        raise NotImplementedError

    def plug_in(self, cfg: Mapping[str, Any], position: str) -> None:
        """Add the layer of ``cfg`` at a position."""
        conv = self.LAST_CONV if position == AFTER_ADD else position.removeprefix("after_")
        channels = getattr(self, conv).out_channels  # every convolution says so, and not every norm
        names = resnet.Bottleneck.make_block_plugins(self, channels, [dict(cfg)])
        for name in names:
            note_loads(getattr(self, name))
        for place in (*AFTER_CONV, AFTER_ADD):
            if not hasattr(self, f"{place}_plugin_names"):
                setattr(self, f"{place}_plugin_names", [])
        getattr(self, f"{position}_plugin_names").extend(names)
        self.with_plugins = True

    def before_relu(self, x: Tensor) -> Tensor:
        """Residual branch plus shortcut, and what is plugged in behind."""
        out = self.residual_sum(x)
        for name in getattr(self, f"{AFTER_ADD}_plugin_names", ()):
            out = getattr(self, name)(out)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """The block on ``x``."""
        if self.with_cp and x.requires_grad:
            return self.relu(recomputed(self.before_relu, x, modules=(self,)))
        return self.relu(self.before_relu(x))


class BasicBlock(TakesPlugins, resnet.BasicBlock):
    """Two 3x3 convolutions (depths 18 and 34)."""

    LAST_CONV, LAST_NORM = "conv2", "norm2"
    residual_sum = basic_sum


class Bottleneck(TakesPlugins, resnet.Bottleneck):
    """1x1, 3x3 and 1x1 convolutions (depths 50 and more)."""

    LAST_CONV, LAST_NORM = "conv3", "norm3"
    residual_sum = bottleneck_sum


@MODELS.register_module()
class PluginResNet(ResNet):
    """ResNet whose plug-ins may go into single blocks of a stage, and behind the residual addition.

    Weights of ``mmdet.ResNet`` load; plug-ins bear their names, for example ``layer3.4.dnl_block``.

    Args:
        depth: 18, 34, 50, 101 or 152.
        plugins: as in the host, ``dict(cfg=..., stages=(False, False, True, True), position=...)``,
            with two things more: ``blocks=(-2,)``, indices of the blocks in a stage (default: all
            of them), and ``position="after_add"``, between the residual addition and the last ReLU
            (the only position in depths 18 and 34).
        host_cfg: every other argument of ``mmdet.ResNet``. ``frozen_stages`` leaves plug-ins that
            no file has held free to learn.

    Raises:
        ValueError: a position, a stage or a block that does not exist.

    Example:
        >>> plugin = dict(type="mmext.DisentangledNonLocal2d", variant="detection")
        >>> stages = (False, False, True, False)
        >>> here = dict(cfg=plugin, stages=stages, blocks=(-2,), position="after_add")
        >>> net = PluginResNet(50, plugins=[here])
        >>> [name for name, _ in net.named_modules() if name.endswith("dnl_block")]
        ['layer3.4.dnl_block']
    """

    arch_settings = {  # noqa: RUF012  the host's name and kind
        18: (BasicBlock, (2, 2, 2, 2)),
        34: (BasicBlock, (3, 4, 6, 3)),
        50: (Bottleneck, (3, 4, 6, 3)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
    }

    def __init__(
        self, depth: int, *, plugins: Sequence[Mapping[str, Any]] | None = None, **host_cfg: Any
    ) -> None:
        # The host's constructor calls make_res_layer, which reads these.
        self.single_plugins = checked(plugins or (), depth, host_cfg.get("num_stages", 4))
        self.from_random = host_cfg.get("init_cfg") is None and host_cfg.get("pretrained") is None
        super().__init__(depth, **host_cfg)

    def make_res_layer(self, **stage_cfg: Any) -> ResLayer:
        """One stage; the host makes them in order."""
        stage = len(self.res_layers)
        if self.from_random and self.zero_init_residual:
            # The host does so for its own classes of blocks only.
            last = stage_cfg["block"].LAST_NORM
            stage_cfg["init_cfg"] = dict(type="Constant", val=0, override=dict(name=last))
        layer = ResLayer(**stage_cfg)
        for plugin in self.single_plugins:
            if plugin["stages"][stage]:
                for block in chosen(layer, plugin["blocks"], stage):
                    block.plug_in(plugin["cfg"], plugin["position"])
        return layer

    def init_weights(self) -> None:
        """Initialise as the host does, which starts plug-ins before it loads."""
        initialise(self, super().init_weights, start=False)

    def _freeze_stages(self) -> None:
        """Freeze stages as the host does, without the plug-ins that no file has held yet."""
        super()._freeze_stages()
        thaw_random(self)


def chosen(layer: ResLayer, blocks: Sequence[int] | None, stage: int) -> list[TakesPlugins]:
    """Those blocks of a stage.

    Raises:
        ValueError: there is no such block.
    """
    for i in blocks or ():
        if not -len(layer) <= i < len(layer):
            raise ValueError(
                f"blocks must name some of the {len(layer)} blocks of layer{stage + 1}, got {i}; "
                f"count from 0 to {len(layer) - 1}, or from -1 back to {-len(layer)}"
            )
    return [layer[i] for i in (range(len(layer)) if blocks is None else blocks)]


def checked(
    plugins: Sequence[Mapping[str, Any]], depth: int, num_stages: int
) -> list[dict[str, Any]]:
    """The plug-ins with all keys.

    Raises:
        ValueError: a position that does not exist at this depth, or not one answer a stage.
    """
    known = (AFTER_ADD,) if depth < 50 else (*AFTER_CONV, AFTER_ADD)
    complete = []
    for plugin in plugins:
        plugin = dict(blocks=None, stages=(True,) * num_stages) | dict(plugin)
        if plugin.get("position") not in known:
            raise ValueError(
                f"position must be one of {known} at depth {depth}, got {plugin.get('position')!r}"
            )
        if len(plugin["stages"]) != num_stages:
            raise ValueError(
                f"stages must have one entry for each of the {num_stages} stages, got "
                f"{plugin['stages']}"
            )
        complete.append(plugin)
    return complete
