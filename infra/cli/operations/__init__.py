"""What operators do to a deployment, and what developers measure."""
