"""Recipes: TOML files that describe the whole comparison of one data set, and the code that carries them out."""
