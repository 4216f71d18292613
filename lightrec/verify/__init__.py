"""Replay a bundle's golden cases in Python, Node.js and Chromium, and compare the answers with the recorded ones."""
