"""Load a bundle and recommend: numpy and a runtime, no torch."""
