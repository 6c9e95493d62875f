"""Training on few labels and many pictures. Host: mmengine alone; any host's models and data."""
