"""Make smaller copies of a graph (16, 8 or 4 bits), and choose the precision to deploy."""
