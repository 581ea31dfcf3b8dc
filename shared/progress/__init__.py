"""How far a job is: what page, command line, client, API and subscribers all show, in the same words."""
