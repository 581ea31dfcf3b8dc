"""The parts of one file's transcription, which gpu_job/pipeline.py puts together."""
