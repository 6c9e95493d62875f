"""Turn a model's convolutions into SACs without changing its output, and fold them for deployment.

Paper     DetectoRS, Qiao et al. 2020, https://arxiv.org/abs/2006.02334
Idea      A SAC whose switch is 1 is the convolution that its weight comes from: any network can
          start as one.
Host      none: any torch model
"""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

from mmcv.cnn import ConvAWS2d
from torch import nn

from mmext.detection.detecto_rs.aws import ConvAWS
from mmext.detection.detecto_rs.sac import SAC

SHAPE = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
Select = str | Iterable[str] | Callable[[str, nn.Conv2d], bool]


def convert_to_sac(
    model: nn.Module,
    select: Select | None = None,
    *,
    use_deform: bool = False,
    backend: str = "auto",
) -> nn.Module:
    """Replace convolutions by SACs that give the same output; what SAC adds is new and trainable.

    Weights and biases stay the same parameters, so a frozen one stays frozen, and an optimizer that
    knows them goes on; the new parameters must be added to it. Convolutions that are used twice are
    replaced by SACs that are used twice.

    Args:
        model: changed in place.
        select: which ones: patterns of names such as ``"layer[234].*.conv2"``, or a function of
            name and convolution. By default all 3 x 3 ones that can be converted.
        use_deform: see :class:`SAC`.
        backend: see :class:`SAC`.

    Returns:
        ``model``; a new SAC if ``model`` itself is a convolution.

    Raises:
        ValueError: nothing is selected, or what is selected cannot be converted.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        >>> type(convert_to_sac(net)[0]).__name__
        'SAC'
    """
    chosen = _chooser(select)
    convs = {
        name: m
        for name, m in model.named_modules()
        if isinstance(m, nn.Conv2d) and not isinstance(m, SAC)
    }
    found = {name: conv for name, conv in convs.items() if chosen(name, conv)}
    if not found:
        raise ValueError(
            f"select must match at least one convolution, got none of {len(convs)} for {select!r}; "
            f"their names are like {next(iter(convs), 'none: the model has no nn.Conv2d')!r}"
        )
    # Look at all before any is touched: after an error the model is as it was.
    for name, conv in found.items():
        if reason := why_not(conv):
            raise ValueError(
                f"{name}: expected a convolution that SAC can stand for, got one {reason}; "
                "deselect it"
            )
    # Keyed by module, so that one that stands in two places stays one.
    return _replace(
        model, {c: _sac_like(c, use_deform=use_deform, backend=backend) for c in found.values()}
    )


def fuse(model: nn.Module) -> nn.Module:
    """Fold ConvAWS into plain convolutions and SACs as far as they can be (see :meth:`SAC.fuse`).

    For deployment: fewer operators in an exported graph, and no standardisation left. What is
    folded can be trained, but no longer as the paper trains it. Folding twice is folding once. To
    fold batch norms too, call this first, and keep such tools off SACs: scaling a SAC's weight does
    not scale its output.

    Args:
        model: changed in place.

    Returns:
        ``model``; the folded layer if ``model`` itself is one.
    """
    return _replace(model, {m: m.fuse() for m in model.modules() if isinstance(m, ConvAWS)})


def why_not(conv: nn.Conv2d) -> str:
    """What keeps a SAC from standing for ``conv``; empty if nothing does.

    Example:
        >>> why_not(nn.Conv2d(3, 8, 3))
        'whose padding (0, 0) changes the size of the map'
    """
    if type(conv) not in (nn.Conv2d, ConvAWS, ConvAWS2d):
        return f"of type {type(conv).__name__}, which may compute something else"
    if conv._forward_hooks or conv._forward_pre_hooks:
        return "with hooks, which the new one would lack"
    if conv.padding_mode != "zeros":
        return f"with padding_mode={conv.padding_mode!r}"
    same = tuple(d * (k - 1) / 2 for d, k in zip(conv.dilation, conv.kernel_size, strict=True))
    if conv.padding != same:
        return f"whose padding {conv.padding} changes the size of the map"
    return ""


def _chooser(select: Select | None) -> Callable[[str, nn.Conv2d], bool]:
    if select is None:
        return lambda name, conv: conv.kernel_size == (3, 3) and not why_not(conv)
    if callable(select):
        return select
    patterns = [select] if isinstance(select, str) else list(select)
    return lambda name, conv: any(fnmatchcase(name, pattern) for pattern in patterns)


def _sac_like(conv: nn.Conv2d, *, use_deform: bool, backend: str) -> SAC:
    """A neutral SAC with the parameters, the mode, device and dtype of ``conv``."""
    shape: dict[str, Any] = {key: getattr(conv, key) for key in SHAPE}
    sac = SAC(**shape, bias=conv.bias is not None, use_deform=use_deform, backend=backend).to(
        conv.weight
    )
    sac.weight, sac.bias = conv.weight, conv.bias
    if isinstance(conv, ConvAWS | ConvAWS2d):
        sac.weight_gamma, sac.weight_beta = conv.weight_gamma, conv.weight_beta
    else:
        sac.init_weights()
    sac.train(conv.training)
    return sac


def _replace(model: nn.Module, new: dict[nn.Module, nn.Module]) -> nn.Module:
    """Put ``new[m]`` wherever ``model`` holds ``m``."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child in new:
                setattr(parent, name, new[child])
    return new.get(model, model)
