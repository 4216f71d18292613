"""Show measured rows: an HTML page, Markdown, CSV and tables for the terminal."""
