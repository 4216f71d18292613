"""Fetch the public data sets that are known by name."""
