"""The laptop cloud: Google's services on loopback, for Google's own clients."""
