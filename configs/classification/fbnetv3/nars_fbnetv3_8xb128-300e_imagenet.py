"""FBNetV3's search space, around a network that is close to A, with its recipe.

Run       python tools/search.py
          configs/classification/fbnetv3/nars_fbnetv3_8xb128-300e_imagenet.py
Hardware  a cluster: each candidate is a training on ImageNet. Not run by us; fewer epochs and
          classes make a proxy, as the authors had one
Expected  not known. The ranges follow one table of a port of others: the paper's text was not read
"""

_base_ = [
    "../../_base_/models/fbnetv3.py",
    "../../_base_/datasets/imagenet_classification.py",
    "../../_base_/schedules/sgd-cosine_300e.py",
    "../../_base_/ema.py",
    "../../_base_/runtime_classification.py",
]

# Each stage by numbers, which a search can change one by one: blocks, kernel, the expansion of the
# first block and of the rest, channels.
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,  # in place of the base's name
            stem=16,
            stages=[
                [dict(blocks=2, kernel=3, first=1, rest=1, channels=16)],
                [dict(blocks=4, kernel=5, first=4, rest=2, channels=24, stride=2)],
                [dict(blocks=5, kernel=5, first=5, rest=3, channels=40, stride=2, se=True)],
                [
                    dict(blocks=5, kernel=5, first=5, rest=3, channels=72, stride=2),
                    dict(blocks=6, kernel=5, first=5, rest=3, channels=120, se=True),
                ],
                [
                    dict(blocks=6, kernel=5, first=6, rest=4, channels=184, stride=2, se=True),
                    # The head is built for 224 channels, so no search may change these.
                    "1x k5 e6 224 se",
                ],
            ],
        ),
        drop_path_rate=0.1,
    )
)
train_dataloader = dict(batch_size=128)

blocks = "model.backbone.arch.stages"
space = {
    "model.backbone.arch.stem": dict(type="int", low=16, high=24, step=8),
    f"{blocks}.0.0.blocks": dict(type="int", low=1, high=4),
    f"{blocks}.0.0.channels": dict(type="int", low=16, high=24, step=4),
}
for place, channels in (
    ("1.0", (20, 32)),
    ("2.0", (32, 48)),
    ("3.0", (64, 88)),
    ("3.1", (104, 136)),
    ("4.0", (168, 216)),
):
    stage = f"{blocks}.{place}"
    space[f"{stage}.blocks"] = dict(type="int", low=1, high=10)
    space[f"{stage}.kernel"] = dict(type="categorical", choices=[3, 5])
    space[f"{stage}.first"] = dict(type="int", low=4, high=7)
    space[f"{stage}.rest"] = dict(type="int", low=2, high=5)
    space[f"{stage}.channels"] = dict(type="int", low=channels[0], high=channels[1], step=4)
space["optim_wrapper.optimizer.lr"] = dict(type="float", low=0.1, high=1.0, log=True)
space["optim_wrapper.optimizer.weight_decay"] = dict(type="float", low=1e-6, high=1e-4, log=True)
space["model.head.dropout"] = dict(type="float", low=0.0, high=0.4)
space["model.backbone.drop_path_rate"] = dict(type="float", low=0.0, high=0.3)
space["train_dataloader.dataset.pipeline.1.scale"] = dict(type="int", low=192, high=256, step=16)

search = dict(space=space, method="nars")
del blocks, channels, place, space, stage
