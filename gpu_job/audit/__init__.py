"""The audit: speech without words is decoded again, words without speech are dropped, the rest is a gap."""
