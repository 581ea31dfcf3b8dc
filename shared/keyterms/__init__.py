"""Key terms: what the owner of an upload expects to be said in it."""
