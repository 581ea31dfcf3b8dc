"""`dropscribe dead`: messages that could not be delivered."""
