"""What a model makes of pictures and videos, outside of training: inputs, tasks, drawing."""
