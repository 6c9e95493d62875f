"""DetectoRS: look and think twice, at backbones (recursive pyramid) and convolutions (switchable).

Paper     DetectoRS, Qiao et al. 2020, https://arxiv.org/abs/2006.02334
Idea      A switchable atrous convolution looks with two dilations and picks per place (aws.py,
          deform.py, sac.py, convert.py); a recursive feature pyramid feeds its output back into the
          backbone.
Host      mmcv 2.x (drop-in for its ConvAWS and SAC; its compiled ops are not needed) and mmdet 3.x
Deviates  each file marks its differences with DEVIATION; the folder README lists them.
Letters   N images, C input and O output channels, H W map, I = C / groups, T = kh * kw taps of a
          kernel
"""

from mmext.detection.detecto_rs.aws import ConvAWS, standardize
from mmext.detection.detecto_rs.convert import convert_to_sac, fuse
from mmext.detection.detecto_rs.sac import SAC, keep_identity
from mmext.registry import parts_of

__all__ = ["SAC", "ConvAWS", "convert_to_sac", "fuse", "keep_identity", "standardize"]

__getattr__ = parts_of(__name__)
