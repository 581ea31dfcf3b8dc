"""The audit: speech without words is transcribed again, words without speech are dropped, the rest is a gap."""
