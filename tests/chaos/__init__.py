"""Chaos: many uploads through a laptop cloud whose services fail and whose processes die, by a seed."""
