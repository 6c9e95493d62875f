"""``python -m mmext``: the same as the command ``mmext``."""

from mmext.cli import main

if __name__ == "__main__":
    main()
