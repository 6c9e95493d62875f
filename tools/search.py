"""Search over a config: python tools/search.py CONFIG --space lr,weight_decay [flags].

The same as ``mmext search``.
"""

from mmext.cli.search import main

if __name__ == "__main__":
    main()
