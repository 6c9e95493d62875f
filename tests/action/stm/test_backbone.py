"""ResNetSTM: identity, counts, clips apart, lengths, sizes, options, others' weights, bad input."""

import pytest
import torch
from mmaction.models import Recognizer2D
from mmaction.models.backbones import ResNet, ResNetTSM
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from mmext.action.stm.backbone import ResNetSTM, set_num_segments
from mmext.action.stm.shift import ChannelTemporalConv

T = 4


def small(**options):
    torch.manual_seed(0)
    options = dict(depth=14, base_channels=16, num_segments=T) | options
    return ResNetSTM(**options).eval()


def frames(B=1, size=32, T=T, seed=0):
    return torch.randn(B * T, 3, size, size, generator=torch.Generator().manual_seed(seed))


def recognizer(test_cfg=None, **options):
    torch.manual_seed(0)
    head = dict(
        type="mmaction.TSMHead",
        num_classes=5,
        in_channels=512,
        num_segments=T,
        init_std=0.1,
        topk=(1,),
    )
    backbone = dict(type="mmext.ResNetSTM", depth=14, base_channels=16, num_segments=T, **options)
    cfg = dict(backbone=backbone, cls_head=head | dict(average_clips="prob"), test_cfg=test_cfg)
    model = MODELS.build(dict(_scope_="mmaction", type="Recognizer2D", **cfg))
    model.init_weights()
    return model.eval()


def test_without_motion_it_is_the_hosts_resnet_frame_by_frame():
    ours = ResNetSTM(50, temporal_init="identity", cmm_init="zero_out", num_segments=T).eval()
    host = ResNet(50)
    host.eval()  # gives no self back
    missing, unexpected = ours.load_state_dict(host.state_dict(), strict=False)
    assert missing
    assert not unexpected
    assert_close(ours(frames()), host(frames()), rtol=1e-5, atol=1e-5)
    off = ResNetSTM(50, use_cstm=False, use_cmm=False, num_segments=T).eval()
    off.load_state_dict(host.state_dict())  # strict: nothing is added
    assert torch.equal(off(frames()), host(frames()))


def test_parameters_are_those_of_the_paper():
    ours, host = ResNetSTM(50), ResNet(50)
    count = lambda module: sum(p.numel() for p in module.parameters())  # noqa: E731
    for classes, expected in {
        174: 24_035_666,
        400: 24_498_740,
        27: 23_734_463,
        101: 23_886_089,
    }.items():
        assert count(ours) + 2049 * classes == expected
    assert count(ours) - count(host) == 171_108
    kernels = [m for m in ours.modules() if isinstance(m, ChannelTemporalConv)]
    assert (len(kernels), sum(map(count, kernels))) == (16, 11_328)
    per_block = [
        sum(
            count(branch)
            for branch in (getattr(ours, f"layer{i}")[1].cstm, getattr(ours, f"layer{i}")[1].cmm)
        )
        for i in (1, 2, 3, 4)
    ]
    assert per_block == [748, 2_520, 9_136, 34_656]


@pytest.mark.parametrize(("downsample", "expected"), [("pool", 33.08), ("strided", 33.02)])
def test_multiplications_at_eight_frames(downsample, expected):
    net = ResNetSTM(50, cmm_downsample=downsample).eval()
    added = [0]

    def look(module, inputs, _):  # the counter does not know our three multiply-adds
        added[0] += 3 * inputs[0].numel()

    for module in net.modules():
        if isinstance(module, ChannelTemporalConv):
            module.register_forward_hook(look)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.randn(8, 3, 224, 224))
    macs = counter.get_total_flops() / 2 + added[0] + 8 * 2048 * 174
    # The draft looks at the first frame too, whose motion nobody uses: a hundredth of a per mille.
    assert macs / 1e9 == pytest.approx(expected, abs=0.006)


def test_clips_never_mix_bit_for_bit():
    net, one = small(), frames(2)
    other = torch.cat([one[:T], frames(1, seed=1)])
    assert torch.equal(net(one)[:T], net(other)[:T])


def test_the_order_of_frames_matters():
    x = frames()
    order = torch.tensor([2, 0, 3, 1])
    without = small(use_cstm=False, use_cmm=False)
    assert_close(without(x)[order], without(x[order]))
    for only in (dict(use_cmm=False), dict(use_cstm=False), {}):
        net = small(**only)
        assert (net(x)[order] - net(x[order])).abs().max() > 1e-3


@pytest.mark.parametrize("size", [112, 127, 225])
@pytest.mark.parametrize("downsample", ["pool", "strided"])
def test_odd_sizes(size, downsample):
    side = -(-size // 32)
    assert small(cmm_downsample=downsample)(frames(size=size)).shape == (T, 512, side, side)


@pytest.mark.parametrize("length", [1, 3, 8, 16])
def test_other_lengths_after_training(length):
    model = recognizer()
    set_num_segments(model, length)
    fresh = small(num_segments=length)
    fresh.load_state_dict(model.backbone.state_dict())
    x = frames(2, T=length)
    assert_close(model.backbone(x), fresh(x))
    assert model.cls_head(model.backbone(x), num_segs=length).shape == (2, 5)


@pytest.mark.parametrize(
    "option", [dict(style="caffe"), dict(dilations=(1, 1, 1, 2), strides=(1, 2, 2, 1))]
)
@pytest.mark.parametrize("fuse", ["post_act", "pre_act"])
def test_options_of_the_host(option, fuse):
    net = small(fuse=fuse, **option).train()
    net(frames(2)).square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


def test_pre_act_adds_motion_before_the_norm():
    net = small(fuse="pre_act")
    block = net.layer2[0]
    x = torch.randn(T, 64, 8, 8)
    inside = block.conv1(x)
    total = block.conv2.conv(block.cstm(inside)) + block.cmm(inside)
    expected = block.conv3(torch.relu(block.conv2.bn(total))) + block.downsample(x)
    assert_close(block(x), torch.relu(expected))


def test_checkpointing_wraps_the_whole_block():
    plain, saving = small().train(), small(with_cp=True).train()
    saving.load_state_dict(plain.state_dict())
    x = frames(2).requires_grad_()
    grads = []
    for net in (plain, saving):
        net(x).square().mean().backward()
        grads.append({name: p.grad for name, p in net.named_parameters()})
    assert_close(grads[0], grads[1])


def test_chosen_stages_and_blocks():
    net = ResNetSTM(50, stm_stages=(0, (0, 1, 0, 1), 1, False), num_segments=T)
    has = [[block.cstm is not None for block in getattr(net, f"layer{i}")] for i in (1, 2, 3, 4)]
    assert has == [[False] * 3, [False, True, False, True], [True] * 6, [False] * 3]


def test_files_of_torchvision_load(tmp_path):
    host, names = ResNet(50), {}
    for key, value in host.state_dict().items():  # as torchvision calls them
        key = key.replace("downsample.conv", "downsample.0").replace(
            "downsample.bn", "downsample.1"
        )
        first, _, last = key.rpartition(".")
        layer, _, kind = first.rpartition(".")
        name = layer.replace("conv", "bn") if kind == "bn" else layer
        names[f"{first if 'downsample' in key else name}.{last}"] = torch.randn_like(value.float())
    names |= {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    torch.save(names, tmp_path / "resnet50.pth")
    net = ResNetSTM(50, pretrained=str(tmp_path / "resnet50.pth"))
    net.init_weights()
    assert torch.equal(net.layer3[2].conv2.conv.weight, names["layer3.2.conv2.weight"])
    assert torch.equal(
        net.layer4[0].downsample.bn.running_var, names["layer4.0.downsample.1.running_var"]
    )
    assert torch.equal(net.layer1[0].cstm.weight[:16, 0], torch.tensor([1.0, 0, 0]).expand(16, 3))


@pytest.mark.parametrize(
    "theirs", [ResNet(50), ResNetTSM(50, pretrained2d=False)], ids=["TSN", "TSM"]
)
def test_files_of_tsn_and_tsm_load(theirs):
    state = {key: torch.rand_like(value.float()) for key, value in theirs.state_dict().items()}
    net = ResNetSTM(50)
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert missing
    assert not unexpected
    assert all(".cstm." in key or ".cmm." in key for key in missing)
    wrapped = next(key for key in state if key.startswith("layer2.1.conv1.conv"))
    assert torch.equal(net.layer2[1].conv1.conv.weight, state[wrapped])


def test_a_file_of_its_own_is_not_started_anew(tmp_path):
    trained = small()
    torch.nn.init.normal_(trained.layer1[0].cstm.weight)
    torch.save(trained.state_dict(), tmp_path / "stm.pth")
    for given in (
        dict(pretrained=str(tmp_path / "stm.pth"), torchvision_pretrain=False),
        dict(init_cfg=dict(type="Pretrained", checkpoint=str(tmp_path / "stm.pth"))),
    ):
        net = small(**given)
        net.init_weights()
        assert_close(net.state_dict(), trained.state_dict())


def test_thirty_views_in_goes_are_those_at_once():
    x = torch.randn(1, 30 * T, 3, 32, 32)
    found = []
    for test_cfg in (None, dict(max_testing_views=6 * T)):
        model = recognizer(test_cfg)
        with torch.no_grad():
            (result,) = model(x, [ActionDataSample()], mode="predict")
        found.append(result.pred_score)
    assert_close(found[0], found[1], rtol=1e-6, atol=1e-6)
    with torch.no_grad():
        model = recognizer()
        views = model.cls_head(model.backbone(x[0]), num_segs=T)
    assert_close(found[0], views.softmax(1).mean(0))


def test_bad_input_says_what_to_do():
    with pytest.raises(
        ValueError, match=r"num_segments=4, got 6 frames; give backbone, head and the pipeline"
    ):
        small()(frames()[:3].repeat(2, 1, 1, 1))
    with pytest.raises(
        ValueError, match=r"depth of ResNetSTM must be one of .*, got 18: STM needs bottlenecks"
    ):
        ResNetSTM(18)
    with pytest.raises(ValueError, match=r"fuse must be one of .*, got 'sum'"):
        small(fuse="sum")
    with pytest.raises(ValueError, match=r"one entry for each of the 4 stages, got \(1, 1\)"):
        small(stm_stages=(1, 1))
    with pytest.raises(ValueError, match=r"one entry for each of layer2's 1 blocks, got \(1, 0\)"):
        small(stm_stages=(1, (1, 0), 1, 1))
    with pytest.raises(ValueError, match="num_segments must be at least 1, got 0"):
        small().num_segments = 0


def test_it_is_a_backbone_of_the_hosts_recogniser():
    model = recognizer()
    assert type(model) is Recognizer2D
    assert model.backbone.get("num_segments") == T
    assert model.backbone.get("unknown") is None
