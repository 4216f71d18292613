"""The commands that fetch, prepare and describe data sets."""
