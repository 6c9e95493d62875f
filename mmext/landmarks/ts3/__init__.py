"""TS3: two unlike students label pictures for themselves, and a teacher judges their labels.

Paper     Dong and Yang 2019, https://arxiv.org/abs/1908.02116
Idea      two detectors of different structure label unlabelled faces; a teacher, trained on the
          labelled ones, says how good a labelled face is; each student goes on with the labelled
          faces and its own good labels; at test their maps are averaged
Host      mmengine
Deviates  The authors published networks and no training. Networks, sizes and counts are theirs; the
          teacher's objective, the corruptions, the mix of scores, weights and rounds are ours:
          the teacher learns the quality of labels of known error, not real against pseudo
          (``objective="lsgan"`` is near the paper), in every step beside the students; labels
          count by point and by score, and the paper's choice of whole faces is ``filter="hard"``;
          students go on from their weights in each round. Their errors on the labelled pictures
          stand in for those of students trained on the other half, which cost two more students.
          A label's quality is exp(-e / tau), tau a tenth of the input's side and the same for all
          data, chosen on drawn faces: a part of the typical error would be known only afterwards.
Letters   B pictures, N unlabelled pictures, S = 2 students, K points; points are (x, y) in pixels
"""

from mmext.registry import parts_of

__getattr__ = parts_of(__name__)
