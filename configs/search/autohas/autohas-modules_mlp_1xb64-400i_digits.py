"""AutoHAS chooses among four nets, together with the learning rate, in one training.

Run        python tools/data/digits.py &&
           python tools/train.py configs/search/autohas/autohas-modules_mlp_1xb64-400i_digits.py
Hardware   any CPU, three minutes on one core
Expected   best_recipe.py with the widest net (probability 0.998) and a rate of 0.1 (one run)
Then       python tools/train.py work_dirs/<this name>/best_recipe.py
"""

_base_ = [
    "../../_base_/models/mlp_8x8.py",
    "../../_base_/datasets/digits_classification.py",
    "../../_base_/schedules/autohas_400i.py",
    "../../_base_/runtime_classification_iters.py",
]

_net = dict(type="mmext.MLPBackbone", in_shape=(1, 8, 8))

# All end in 64 features, so that the head fits each of them.
model = dict(
    backbone=dict(
        _delete_=True,
        type="mmext.Choice",
        choices=[
            dict(**_net, widths=(64,)),
            dict(**_net, widths=(4, 64)),
            dict(**_net, widths=(128, 64)),
            dict(**_net, widths=(128, 128, 64)),
        ],
    )
)

train_cfg = dict(type="mmext.AutoHASLoop")

# Candidates are compared on pictures that the test does not see.
train_dataloader = dict(batch_size=64, dataset=dict(indices=700))
val_dataloader = dict(dataset=dict(indices=list(range(700, 1000))))

find_unused_parameters = True  # on several ranks: each step trains one of the nets
