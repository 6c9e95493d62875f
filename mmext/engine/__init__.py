"""From command line to Runner: launching, configs, checkpoints, precision. Host: mmengine."""
