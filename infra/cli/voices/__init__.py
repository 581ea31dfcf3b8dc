"""`dropscribe voices`: the kept voices of a deployment."""
