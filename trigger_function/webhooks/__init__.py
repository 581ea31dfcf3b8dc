"""Webhooks: outcomes posted to URLs, signed as https://www.standardwebhooks.com has it.

`push.py` reads what Pub/Sub pushes, `endpoints.py` knows whom an outcome is posted to, `signature.py` signs,
`deliver.py` posts and decides what is tried again, `delivered.py` remembers what is done.
"""
