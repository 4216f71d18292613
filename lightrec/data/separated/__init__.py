"""Read text with separators (CSV, TSV and the like): find its layout, then its rows."""
