"""`make deploy` and `make destroy`: a deployment as a list of commands, told, run, and run again after a failure."""
