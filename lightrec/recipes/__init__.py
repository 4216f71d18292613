"""Recipes of ``lightrec reproduce``, one TOML file each: see docs/recipes.md."""
