"""Residual labels: each class learns, while the net is trained, how it is mistaken for others.

Paper     Adaptive Regularization of Labels, Ding et al. 2019, https://arxiv.org/abs/1908.05474,
          and its published successor, Knowledge Refinery via Decoupled Label, Ding et al., AAAI
          2021, https://doi.org/10.1609/aaai.v35i8.16888
Idea      A matrix S has a row a class: a distribution over all other classes, the residual label.
          What the net says about the wrong classes is drawn to the label's row, and the row to the
          net, without a teacher. losses.py has the formulas, report.py prints what was learnt.
Host      mmengine; the losses need torch alone and fit mmdet's box heads, mmseg and mmaction2
Deviates  Follows Algorithm 1 of the successor; of the preprint we read the abstract alone, so what
          it does otherwise is not known. update_on="error" is ours. The paper's text tasks are
          left out.
Letters   N samples, C classes, z logits, y the target, p the net's probabilities of the other
          classes given that it is not y, q the residual label of y
"""

from mmext.registry import parts_of

__getattr__ = parts_of(__name__)
