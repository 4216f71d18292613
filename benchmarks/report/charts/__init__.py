"""Draw charts as static SVG."""
