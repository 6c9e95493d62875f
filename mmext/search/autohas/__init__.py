"""AutoHAS: hyper-parameters and architecture are found while one set of shared weights is trained.

Paper     Dong et al. 2020, https://arxiv.org/abs/2006.03656
Idea      one step of training with sampled values gives temporary weights; how these do on
          validation data is the reward by which REINFORCE learns what to sample, and they are
          thrown away; ``DifferentiableHASLoop`` follows the gradient instead of sampling
Host      mmengine: any of its models with a loss, from any of the hosts
Deviates  The reward is the negative loss, not the accuracy (``reward`` takes a metric's name); a
          few candidates share their batches and are compared with each other; the first one that
          was sampled moves the shared weights; rates are mixed in logarithms. Which values the
          paper's own code had for the controller is not known: defaults follow TuNAS,
          https://arxiv.org/abs/2008.06120, and what was measured on digits.
Letters   W shared weights, K candidates a step, U updates a candidate, theta logits and
          p = softmax(theta)
"""

from mmext.registry import parts_of

__getattr__ = parts_of(__name__)
