"""Are we done with ImageNet?: every label that a picture bears counts, and wrong ones do not.

Paper     Beyer et al. 2020, https://arxiv.org/abs/2006.07159
Idea      an answer is right if people accept it (ReaL); train with a sigmoid for each class, on
          pictures whose label a net that never saw them finds plausible
Host      mmengine alone
Data      ``real.json`` of the authors: 50,000 lists, entry i belongs to
          ``ILSVRC2012_val_{i + 1:08}.JPEG``, labels by sorted synset; 3,163 lists are empty
Deviates  the labels of the paper's ten folds come from nets of one config here; ``cleanlab`` may
          judge them instead of the paper's rule
Letters   N pictures, B of them in a batch, K classes, L labels of a picture at most

Not here  how the paper's raters were asked, and its list of clean training pictures: the file that
          the authors published is read by ``FilteredDataset`` as any other
"""

from mmext.classification.real_labels.cleaning import folds_of, plausible
from mmext.classification.real_labels.labels import accepted
from mmext.classification.real_labels.sigmoid_ce import sigmoid_cross_entropy
from mmext.data_checks.label_lists import read_labels
from mmext.registry import parts_of

__all__ = ["accepted", "folds_of", "plausible", "read_labels", "sigmoid_cross_entropy"]

__getattr__ = parts_of("mmext.classification.real_labels")
