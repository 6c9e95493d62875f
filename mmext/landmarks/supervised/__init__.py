"""Landmarks from heatmaps, with labels for all pictures: data sets, nets, detector and metric.

Paper    Wei et al. 2016, Convolutional Pose Machines, https://arxiv.org/abs/1602.00134
         Newell et al. 2016, Stacked Hourglass Networks, https://arxiv.org/abs/1603.06937
Idea     each stage of a net draws one map a point and sees the maps of the stage before
Host     mmengine >= 0.10, transforms of mmcv >= 2.0
Code     the nets as https://github.com/D-X-Y/landmark-detection has them, in the folder TS3
Deviates an averaged loss is the mean over pictures of each picture's mean; the crop is sampled
         once, from the whole picture, however many steps move it
Letters  B pictures, K points, H W crop, h w map

A pretrained VGG-16 of torchvision loads as it is: ``init_cfg=dict(type="Pretrained",
checkpoint="vgg16-397923af.pth")`` on ``mmext.VGGCPM`` finds its ten convolutions under the same
names, ``features.0`` to ``features.21``.
"""

from mmext.registry import parts_of

__getattr__ = parts_of("mmext.landmarks.supervised")
