"""Nets that draw one map a point, stage after stage, trained with labels for all pictures.

Paper    Wei et al. 2016, Convolutional Pose Machines, https://arxiv.org/abs/1602.00134
         Newell et al. 2016, Stacked Hourglass Networks, https://arxiv.org/abs/1603.06937
Idea     each stage draws a map for each point, having seen the maps of the stage before
Host     mmengine >= 0.10
Code     the nets as https://github.com/D-X-Y/landmark-detection has them, in the folder TS3
Deviates none known in the nets; rates and schedules are those of the same author's other papers
Letters  B pictures, K points, H W crop, h w map

A pretrained VGG-16 of torchvision loads as it is: ``init_cfg=dict(type="Pretrained",
checkpoint="vgg16-397923af.pth")`` on ``mmext.VGGCPM`` finds its ten convolutions under the same
names, ``features.0`` to ``features.21``.
"""

from mmext.registry import parts_of

__getattr__ = parts_of("mmext.landmarks.supervised")
