"""AutoHAS chooses among four nets, together with the learning rate, in one training.

Run        python tools/data/digits.py &&
           python tools/train.py configs/search/autohas/autohas-modules_mlp_1xb64-400i_digits.py
Hardware   any CPU, about a minute on one core
Expected   the log's `best`: which of the nets, and a rate of 0.1 or 1
Then       python tools/train.py work_dirs/<this name>/best_recipe.py
"""

_base_ = ["autohas-lr_mlp_1xb64-400i_digits.py"]

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
find_unused_parameters = True  # on several ranks: each step trains one of the nets
