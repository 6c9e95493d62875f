"""ImageNet weights of MobileNetV2 1.0 (Sandler et al. 2018, arXiv 1801.04381) for mmdet and mmseg.

The same as ``mmext data mobilenet_v2``; mmext/prepare/mobilenet_v2.py says what it makes.
"""

from mmext.prepare.mobilenet_v2 import main

if __name__ == "__main__":
    main()
