"""Image classification: papers, and the small stack that they stand on. Host: mmengine alone."""
