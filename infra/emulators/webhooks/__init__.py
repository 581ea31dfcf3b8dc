"""Webhooks of the laptop: its outcomes are posted as a deployment's are, to receivers on this machine, too."""
