"""STM: motion and its order in time from ordinary frames, in every residual block of a 2D ResNet.

Paper     STM, Jiang et al. 2019, https://arxiv.org/abs/1908.02486
Idea      Two branches take the place of a bottleneck's 3x3 convolution and are added: one mixes
          each channel with its past and future (CSTM, shift.py), one looks at what changes to the
          next frame (CMM, motion.py). blocks.py and backbone.py put them into the host's ResNet;
          sampling.py draws the paper's test views.
Host      mmaction2 1.2; the two branches need torch alone
Deviates  The paper leaves open where the norms stand; the default is that of a draft that bears the
          first author's name (2019). Each file marks its differences with DEVIATION; the folder
          README lists them.
Letters   B clips, T frames of a clip, C channels, H W map; frames of a clip lie behind one another
          in (B T)
"""

from mmext.registry import parts_of

__getattr__ = parts_of(__name__)
