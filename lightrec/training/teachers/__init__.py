"""Get the teachers' logits at every training position: from runs, from score files, or from an ensemble."""
