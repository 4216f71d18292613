"""Find the column of times and convert its values to seconds since 1970."""
