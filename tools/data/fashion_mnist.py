"""Fashion-MNIST (Xiao et al. 2017, https://arxiv.org/abs/1708.07747): ten kinds of clothes.

The same as ``mmext data fashion_mnist``; mmext/prepare/fashion_mnist.py says where it comes from.
"""

from mmext.prepare.fashion_mnist import main

if __name__ == "__main__":
    main()
