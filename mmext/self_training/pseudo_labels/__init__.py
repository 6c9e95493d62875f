"""Rethinking pre-training and self-training: a student learns from labels that its teacher wrote.

Paper     Zoph et al. 2020, https://arxiv.org/abs/2006.06882
Idea      a teacher, trained on the labels that there are, writes labels for other pictures; a
          student learns from both, each loss divided by its running mean
Host      mmengine alone; the models and data sets of mmdet, mmseg and of our own classifiers
Deviates  the running means are corrected for their start and their ratio is bounded; a batch
          without pseudo-labelled pictures counts in full (``losses``)
Letters   L_h, L_p the losses of human and of pseudo-labelled pictures, alpha the weight of L_p

Files     a teacher's labels are files, written once by ``mmext pseudo-label``: no second model in
          memory, and no detector of a special class
"""

from mmext.registry import parts_of
from mmext.self_training.pseudo_labels.losses import joint_loss, loss_ratio, updated_means

__all__ = ["joint_loss", "loss_ratio", "updated_means"]

__getattr__ = parts_of("mmext.self_training.pseudo_labels")
