"""Speech recognition: tokens, batches, memory and devices, whatever the model's library."""
