"""The commands that time models and show the results."""
