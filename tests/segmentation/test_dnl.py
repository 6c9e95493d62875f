"""DNLHead: mmseg's keys and numbers, the authors' recipe."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.models.decode_heads import DNLHead as MMSegDNLHead
from mmseg.registry import MODELS
from torch.testing import assert_close

from mmext.layers.disentangled_non_local import DisentangledNonLocal2d
from mmext.segmentation.dnl import DNLHead

ROOT = Path(__file__).parents[2]
OFFICIAL = sorted(ROOT.glob("configs/segmentation/dnl/dnl-official_*.py"))
SMALL = dict(in_channels=16, channels=8, num_classes=5, norm_cfg=dict(type="BN"))


def drawn(head):
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=g) * 0.3)
    return head.eval()


def features(size=(9, 7), batch=2):
    return [torch.randn(batch, 16, *size, generator=torch.Generator().manual_seed(1))]


@pytest.mark.parametrize(
    "kwargs", [{}, dict(reduction=4), dict(use_scale=False), dict(temperature=0.5)], ids=str
)
@pytest.mark.parametrize("impl", ["sdpa", "chunk", "matmul"])
def test_it_is_mmsegs_head(kwargs, impl):
    theirs = drawn(MMSegDNLHead(**SMALL, **kwargs))
    ours = DNLHead(attn_impl=impl, **SMALL, **kwargs).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    assert_close(ours(features()), theirs(features()), rtol=1e-4, atol=1e-5)
    assert (ours.reduction, ours.use_scale, ours.temperature, ours.mode) == (
        theirs.reduction,
        theirs.use_scale,
        theirs.temperature,
        theirs.mode,
    )


@pytest.mark.parametrize("initialise", [False, True])
@pytest.mark.parametrize("cfg", [{}, dict(mode="dot_product", reduction=4)], ids=str)
def test_a_seed_gives_the_start_of_mmsegs_head(cfg, initialise):
    starts = []
    for kind in (DNLHead, MMSegDNLHead):
        torch.manual_seed(5)
        head = kind(**SMALL, **cfg)
        if initialise:
            head.init_weights()
        starts.append(dict(head.state_dict(), next=torch.rand(1)))
    assert_close(*starts, rtol=0, atol=0)


@pytest.mark.parametrize("cfg", [{}, dict(reduction=4, use_scale=False, temperature=0.5)], ids=str)
def test_the_block_says_of_itself_what_the_hosts_says(cfg):
    ours, theirs = (kind(**SMALL, **cfg).dnl_block for kind in (DNLHead, MMSegDNLHead))
    said = {
        name: value for name, value in vars(theirs).items() if isinstance(value, int | float | str)
    }
    assert {
        "reduction",
        "use_scale",
        "temperature",
        "mode",
        "sub_sample",
        "inter_channels",
    } <= said.keys()
    assert {name: getattr(ours, name, None) for name in said} == said


def test_a_stock_config_needs_one_word_for_the_authors_block():
    # mmseg's configs say so
    block = DNLHead(variant="segmentation", use_scale=True, **SMALL).dnl_block
    assert block.use_scale
    assert not DNLHead(variant="segmentation", **SMALL).dnl_block.use_scale


def test_count_at_full_width():
    head = DNLHead(in_channels=2048, channels=512, num_classes=19, norm_cfg=dict(type="BN"))
    assert sum(p.numel() for p in head.parameters()) == 24_132_372


def test_the_authors_block():
    head = DNLHead(variant="segmentation", **SMALL)
    assert type(head.dnl_block) is DisentangledNonLocal2d
    assert not hasattr(head.dnl_block, "conv_out")
    head(features())[0].sum().backward()
    assert head.dnl_block.gate.weight.grad is not None


def test_an_unknown_variant_gets_a_sentence():
    with pytest.raises(ValueError, match=r"variant must be one of .*got 'official'"):
        DNLHead(variant="official", **SMALL)


@pytest.mark.parametrize("path", OFFICIAL, ids=lambda path: path.stem)
def test_queries_and_keys_do_not_decay_in_the_authors_recipe(path):
    cfg = Config.fromfile(path)
    init_default_scope("mmseg")
    head = MODELS.build(cfg.model.decode_head | dict(in_channels=16, channels=8))
    model = torch.nn.ModuleDict(dict(decode_head=head))
    wrapper = build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
    decay = {
        id(p): group["weight_decay"] for group in wrapper.param_groups for p in group["params"]
    }
    usual = cfg.optim_wrapper.optimizer.weight_decay
    assert usual > 0
    for name, parameter in head.named_parameters():
        still = name.startswith(("dnl_block.theta", "dnl_block.phi"))
        assert decay[id(parameter)] == (0 if still else usual), name


def test_there_is_an_authors_recipe_for_each_data_set():
    assert [path.stem.split("_")[-1] for path in OFFICIAL] == [
        "cityscapes-769x769",
        "pascal-context-59-520x520",
        "voc12aug-513x513",
        "ade20k-520x520",
    ]


def test_class_weights_and_ignored_pixels_go_together_in_the_authors_recipe():
    cfg = Config.fromfile(OFFICIAL[0])
    init_default_scope("mmseg")
    loss = MODELS.build(cfg.model.decode_head.loss_decode)
    label = torch.tensor([[[0, 255], [3, 18]]])
    logits = torch.randn(1, 19, 2, 2, requires_grad=True)
    value = loss(logits, label, ignore_index=255).mean()
    weight = torch.tensor(cfg.CLASS_WEIGHT)
    log_p = logits.log_softmax(1)
    expected = (
        -sum(weight[c] * log_p[0, c, i, j] for c, i, j in ((0, 0, 0), (3, 1, 0), (18, 1, 1))) / 4
    )
    assert_close(value, expected)
