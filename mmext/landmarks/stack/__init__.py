"""A small stack for landmarks on mmengine alone: data sets, transforms, codec, detector, metric.

Host     mmengine >= 0.10, transforms of mmcv >= 2.0
Samples  a data set gives points in pixels of the picture; a crop moves them and keeps the map back;
         a model answers in pixels of the picture
Deviates an averaged loss is the mean over pictures of each picture's mean; the crop is sampled
         once, from the whole picture, however many steps move it
Letters  B pictures, K points, H W crop, h w map
"""

from mmext.registry import parts_of

__getattr__ = parts_of("mmext.landmarks.stack")
