"""What a config's data must be: images, COCO files, label maps, videos, lists. Host: none."""
