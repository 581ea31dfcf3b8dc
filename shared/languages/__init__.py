"""Languages of speech: what an upload's owner says of them, and which models and services know them."""
