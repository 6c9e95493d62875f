"""A sigmoid for each class instead of a softmax, on clothes of 28 x 28: minutes on a CPU.

Run       python tools/data/fashion_mnist.py && python tools/train.py
          configs/classification/real_labels/sigmoid-ce_convnet_1xb64-15e_fashion-mnist.py
Hardware  two CPU cores
Expected  trains; its accuracy has not been measured
"""

_base_ = [
    "../../_base_/models/convnet_28x28.py",
    "../../_base_/datasets/fashion-mnist_classification.py",
    "../../_base_/schedules/sgd-cosine_15e.py",
    "../../_base_/runtime_classification.py",
]

# The loss is a sum over classes, about four times a softmax's at the start.
model = dict(head=dict(loss=dict(_delete_=True, type="mmext.SigmoidCELoss", loss_weight=0.25)))
val_evaluator = [dict(type="mmext.TopKAccuracy", topk=1)]  # sigmoids do not sum up to 1
test_evaluator = val_evaluator
