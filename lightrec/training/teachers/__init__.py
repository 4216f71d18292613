"""Teacher logits at every training position, from runs, score files or an ensemble of them."""
