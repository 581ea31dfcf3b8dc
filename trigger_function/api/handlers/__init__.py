"""What the routes do, a module a concern."""
