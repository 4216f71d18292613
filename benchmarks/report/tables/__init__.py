"""Build tables of results, and render them for the terminal, Markdown, HTML and CSV."""
