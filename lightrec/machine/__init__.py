"""Describe this machine: what is installed and what it can run."""
