"""Pre-trained language models that read a user's history."""
