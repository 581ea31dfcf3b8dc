"""Settings that function and job share. Every setting is an environment variable with a unit, a default and a source.

The function's own settings stand in `trigger_function/settings/`, the job's in `gpu_job/settings.py`.
"""
