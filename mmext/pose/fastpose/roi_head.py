"""Second stages with box, keypoints, visibility and embedding of each object.

Paper     FastPose, Zhang et al. 2019, https://arxiv.org/abs/1908.05593 (its multi-task network)
Host      mmdet's second stages of Faster, Mask and Cascade R-CNN: same box and mask branches,
          samples, losses, state-dict keys. Arguments of other second stages are refused
"""

from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead

from mmext.pose.fastpose.branches import PoseBranches
from mmext.registry import MODELS


@MODELS.register_module()
class MTNRoIHead(PoseBranches, StandardRoIHead):
    """Second stage of Faster or Mask R-CNN with keypoints, their visibility and an embedding.

    Every branch may be left out. Boxes and masks are the host's, and so are their names in a
    checkpoint. Arguments are those of :class:`~mmext.pose.fastpose.branches.PoseBranches`.

    Predictions get ``keypoints`` (N, K, 2), ``keypoint_scores`` (N, K), the softmax's peak times
    the visibility, ``keypoints_visible`` (N, K), a probability, and ``embeddings`` (N, D) of length
    1, each where there is a branch for it.
    """


@MODELS.register_module()
class MTNCascadeRoIHead(PoseBranches, CascadeRoIHead):
    """Second stage of Cascade R-CNN, with or without masks, and the branches of `MTNRoIHead`.

    They are there once, not once a stage: they learn from the samples of the last stage.
    """
