"""Add and remove items of an exported bundle without training again."""
