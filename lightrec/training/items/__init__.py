"""Give items their first vectors, vectors from text, and item-item weights."""
