"""The training loop: windows, batches, losses, the trainer and several processes."""
