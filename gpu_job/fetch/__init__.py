"""Fetch uploads from Cloud Storage; large ones are decoded meanwhile."""
