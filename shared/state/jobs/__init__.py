"""The job record: one object per upload generation in the state bucket, changed by compare-and-swap only.

Three objects carry a job. `open/<job_id>.json` exists while the job is not terminal, so that a reconciler finds it by
listing; `jobs/<job_id>/record.json` says who works on it and how far it is; `jobs/<job_id>/outcome.json` is written
once, by whoever ends the job first. A job that is divided has a record of the same kind for each of its shards,
`jobs/<job_id>/shards/<number>/record.json`.

A job that has ended may be run again: its record goes on with the next run, whose marker and outcome have names of
their own (`open/<job_id>.2.json`, `outcome-2.json`). Whoever still works for an earlier run changes nothing of it.
"""
