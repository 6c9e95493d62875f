"""The learning rate of autohas-lr, found along the gradient of the validation loss instead.

Run        python tools/data/digits.py && python tools/train.py
           configs/search/autohas/differentiable-has-lr_mlp_1xb64-400i_digits.py
Hardware   any CPU, a few minutes on one core, most of it loading pictures
Expected   a rate of 0.1 (one run)
Then       python tools/train.py work_dirs/<this name>/best_recipe.py
"""

_base_ = ["autohas-lr_mlp_1xb64-400i_digits.py"]

train_cfg = dict(type="mmext.DifferentiableHASLoop")
