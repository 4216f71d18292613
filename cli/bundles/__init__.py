"""The commands that make, edit, check and use bundles."""
