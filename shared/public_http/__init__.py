"""Requests to addresses that somebody else gave: an https URL to transcribe, a webhook.

Such a URL must not reach what only this deployment can reach: the metadata server, a private network, this host.
`addresses.py` says which addresses are public, `urls.py` which URLs are asked at all, `connection.py` connects to
exactly the address that was checked, `client.py` sends the requests and holds their limits.
"""
