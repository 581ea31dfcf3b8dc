"""Published models: from a name to a folder on this machine, fetched once from the Hugging Face Hub."""
