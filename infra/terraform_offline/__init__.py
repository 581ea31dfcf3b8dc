"""Terraform's checks without its registry: a stand-in for the Google provider that knows the schema alone."""
