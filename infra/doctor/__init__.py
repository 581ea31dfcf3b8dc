"""`dropscribe doctor`: whether a deployment has what it needs, before it is made and after."""
