"""`dropscribe report`: what a month cost and how it went, as one HTML page or as JSON."""
