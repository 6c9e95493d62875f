"""FastPose: people, their poses and identities in one network, tracked through occlusions.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593
Idea      one two-stage detector also finds keypoints and an embedding for each object; objects are
          trained and tested at the scale that suits their size; the pose tells what is hidden, and
          so when an embedding may be read, written or start a track
Host      mmdet 3.x (any two-stage detector, mmdet's own tracking tools)
Data      COCO keypoint files and PoseTrack's, and mmdet's own
Deviates  no code was published, and the paper leaves losses, scales and rules open: here they are
          our design; each file marks its differences with DEVIATION
Letters   B images, T frames, G ground truths, N predictions, K keypoints, D numbers an embedding;
          keypoints (x, y, v) with v 0 unlabelled, 1 labelled but hidden, 2 visible
"""

from mmext.registry import parts_of

__getattr__ = parts_of(__name__)
