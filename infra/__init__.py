"""What surrounds the pipeline: the laptop cloud, the command line, the tiny model, images and dashboards."""
