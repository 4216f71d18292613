"""Protocols, baselines and confidence intervals."""
