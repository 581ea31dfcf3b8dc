"""Assembly: the words of all chunks -> one transcript."""
