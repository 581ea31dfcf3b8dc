"""Commands about the jobs of a deployment."""
