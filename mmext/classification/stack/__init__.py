"""A small stack for image classification on mmengine alone: model, heads, data sets, metrics.

Host     mmengine >= 0.10, transforms of mmcv >= 2.0
Names    mmpretrain's where it has the same; samples, losses and metrics also work among its parts,
         since they look for ``gt_label`` and ``pred_score`` and for no class of ours
Samples  a data set gives ``gt_label``, a number; a model adds ``pred_score`` (K,) and
         ``pred_label`` (1,)
Letters  B pictures of a batch, K classes, C channels
"""

from mmext.registry import parts_of

__getattr__ = parts_of("mmext.classification.stack")
