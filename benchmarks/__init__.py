"""Figures: each measured here, with its peer, its target, the machine and the date."""
