"""The commands: one module each, whose ``main`` takes the words that follow the command's name."""
