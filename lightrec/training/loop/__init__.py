"""Train: windows, batches, losses, the trainer, and several processes."""
