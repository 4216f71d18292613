"""Baselines without gradient descent: popularity, item-kNN, EASE and SLIT."""
