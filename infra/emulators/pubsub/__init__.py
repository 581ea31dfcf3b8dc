"""Pub/Sub's topics, subscriptions and streams."""
