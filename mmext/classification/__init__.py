"""Image classification: parts for mmengine."""
