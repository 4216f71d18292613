"""Decide which column is the user, the item and the title, select rows, and report what became of each column."""
