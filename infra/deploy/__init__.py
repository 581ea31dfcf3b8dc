"""`make deploy`, `make plan`, `make destroy`: lists of commands that can be printed, run, and run again."""
