"""The learning rate of autohas-lr, found along the gradient of the validation loss instead.

Run        python tools/data/digits.py && python tools/train.py
  configs/search/autohas/differentiable-has-lr_mlp_1xb64-400i_digits.py
Hardware   any CPU, about a minute on one core
Expected   a rate of 0.1 (one run)
Then       python tools/train.py work_dirs/<this name>/best_recipe.py
"""

_base_ = [
    "../../_base_/models/mlp_8x8.py",
    "../../_base_/datasets/digits_classification.py",
    "../../_base_/schedules/autohas_400i.py",
    "../../_base_/runtime_classification_iters.py",
]

# Candidates are compared on pictures that the test does not see.
train_dataloader = dict(batch_size=64, dataset=dict(indices=700))
val_dataloader = dict(dataset=dict(indices=list(range(700, 1000))))

train_cfg = dict(type="mmext.DifferentiableHASLoop")
