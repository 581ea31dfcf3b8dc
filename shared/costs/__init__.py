"""Prices, bills, quotes and learned speeds."""
