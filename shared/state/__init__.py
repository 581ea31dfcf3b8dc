"""What a deployment remembers in its state bucket."""
