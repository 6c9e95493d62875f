"""What surrounds training: launching, checking inputs, checkpoints. Host: mmengine."""
