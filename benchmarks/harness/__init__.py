"""Start workers, time their calls in interleaved rounds, and summarise what they took."""
