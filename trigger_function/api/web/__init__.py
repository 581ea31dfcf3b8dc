"""What every route of the API has in common: matching, callers, bodies, answers, problems, repeated requests."""
