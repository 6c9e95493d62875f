"""FBNetV3: small classifiers whose architecture and training recipe were searched for together.

Paper     FBNetV3, Dai et al. 2020, https://arxiv.org/abs/2006.02049
Idea      Inverted residual blocks with h-swish and squeeze-and-excitation whose kernels, widths,
          expansions and depths came out of one search with the recipe. arch.py has the tables, A0
          and A to G; blocks.py, backbone.py and head.py the layers; convert.py reads files of
          other code.
Host      mmengine and mmcv's layers; the backbone stands in any config of mmdet, mmseg, mmaction2
Deviates  Maps have ceil(size / stride) places unless padding="official" is asked for, weights being
          the same; the recipe of the final version is not public in full (configs say what is
          known). The search itself is not here.
Code      Counts and layers were checked against facebookresearch/mobile-vision (CC BY-NC 4.0),
          of which nothing is copied, and outputs against timm (Apache-2.0).
Letters   B images, C channels, H W map, M channels inside a block, Q channels inside the squeeze
"""

from mmext.registry import parts_of

__getattr__ = parts_of(__name__)
