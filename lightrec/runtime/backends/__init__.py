"""The runtimes that run a bundle's graphs, each behind the same interface, and the checks on what they open."""
