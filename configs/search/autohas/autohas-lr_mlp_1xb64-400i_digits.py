"""AutoHAS finds the learning rate of a small net on digits, from 1e-4 to 10, in one training.

Run        python tools/data/digits.py &&
           python tools/train.py configs/search/autohas/autohas-lr_mlp_1xb64-400i_digits.py
Hardware   any CPU, under three minutes on one core
Expected   a rate of 0.1 or 1: fully trained, six rates give accuracies of .120, .159, .625, .936,
           .962 and .101 (docs of the search; measured on a CPU)
Then       python tools/train.py work_dirs/<this name>/best_recipe.py
"""

_base_ = [
    "../../_base_/models/mlp_8x8.py",
    "../../_base_/datasets/digits_classification.py",
    "../../_base_/schedules/autohas_400i.py",
    "../../_base_/runtime_classification_iters.py",
]

train_cfg = dict(type="mmext.AutoHASLoop")

# Candidates are compared on pictures that the test does not see.
train_dataloader = dict(batch_size=64, dataset=dict(indices=700))
val_dataloader = dict(dataset=dict(indices=list(range(700, 1000))))
