"""Change the items of an exported bundle without training again."""
