"""What a model makes of pictures or videos: python tools/demo.py CONFIG CHECKPOINT INPUT [flags].

The same as ``mmext demo``.
"""

from mmext.cli.demo import main

if __name__ == "__main__":
    main()
