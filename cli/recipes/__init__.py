"""The commands that run whole recipes: demo and reproduce."""
