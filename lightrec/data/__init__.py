"""Interactions and item texts, from files to sequences of item indices."""
