"""Pub/Sub for the laptop: publish, pull, acknowledge, ack deadlines and dead letters, as Google's clients call them."""
