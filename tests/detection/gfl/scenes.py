"""Small generated inputs for GFL heads: head pairs of equal weights, feature maps, ground truth."""

import torch
from mmdet.models.dense_heads import GFLHead as HostGFLHead
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from mmext.detection.gfl.head import GFLHead

STRIDES = (8, 16, 32, 64, 128)
HOST_LOSSES = dict(
    loss_cls=dict(type="mmdet.QualityFocalLoss", use_sigmoid=True),
    loss_dfl=dict(type="mmdet.DistributionFocalLoss", loss_weight=0.25),
    loss_bbox=dict(type="mmdet.GIoULoss", loss_weight=2.0),
    bbox_coder=dict(type="mmdet.DistancePointBBoxCoder"),
    anchor_generator=dict(
        type="mmdet.AnchorGenerator",
        ratios=[1.0],
        octave_base_scale=8,
        scales_per_octave=1,
        strides=STRIDES,
    ),
)


def host_cfg(num_classes=4, channels=8):
    return dict(
        num_classes=num_classes,
        in_channels=channels,
        feat_channels=channels,
        stacked_convs=1,
        norm_cfg=dict(type="GN", num_groups=2),
        train_cfg=ConfigDict(
            assigner=dict(type="mmdet.ATSSAssigner", topk=9),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        test_cfg=ConfigDict(
            nms_pre=100,
            min_bbox_size=0,
            score_thr=0.05,
            nms=dict(type="nms", iou_threshold=0.6),
            max_per_img=50,
        ),
    )


def head_pair(seed=0, ours=None, **kwargs):
    """Our head and mmdet's with the same weights."""
    cfg = host_cfg(**kwargs)
    mine, theirs = GFLHead(**cfg, **(ours or {})), HostGFLHead(**cfg, **HOST_LOSSES)
    torch.manual_seed(seed)
    theirs.init_weights()
    mine.load_state_dict(theirs.state_dict())
    return mine, theirs


def feature_maps(batch, height, width, channels=8, seed=0):
    g = torch.Generator().manual_seed(seed)
    sizes = [(-(-height // s), -(-width // s)) for s in STRIDES]
    return tuple(torch.randn(batch, channels, h, w, generator=g) for h, w in sizes)


def predictions(batch, height, width, num_classes=4, bins=17, seed=0):
    """Class and box maps of every level, leaves that collect gradients; scores around 0.1."""
    g = torch.Generator().manual_seed(seed)
    sizes = [(-(-height // s), -(-width // s)) for s in STRIDES]
    scores = [torch.randn(batch, num_classes, h, w, generator=g) - 2.5 for h, w in sizes]
    boxes = [torch.randn(batch, 4 * bins, h, w, generator=g) for h, w in sizes]
    return [x.requires_grad_() for x in scores], [x.requires_grad_() for x in boxes]


def ground_truth(counts, height, width, num_classes=4, seed=0):
    """Random boxes, one count an image, and the images' meta information."""
    g = torch.Generator().manual_seed(seed)
    instances, metas = [], []
    for count in counts:
        size = torch.rand(count, 2, generator=g) * 0.4 * torch.tensor([width, height]) + 8
        corner = torch.rand(count, 2, generator=g) * (torch.tensor([width, height]) - size)
        instances.append(
            InstanceData(
                bboxes=torch.cat([corner, corner + size], 1),
                labels=torch.randint(0, num_classes, (count,), generator=g),
            )
        )
        shape = (height, width)
        metas.append(
            dict(
                img_shape=shape,
                pad_shape=shape,
                ori_shape=shape,
                batch_input_shape=shape,
                scale_factor=(1.0, 1.0),
            )
        )
    return instances, metas
