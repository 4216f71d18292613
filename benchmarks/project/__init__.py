"""Measure and show what this repository promises about itself; not part of the wheel."""
