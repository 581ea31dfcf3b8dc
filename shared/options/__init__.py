"""What is asked for an upload: by its owner, by the folder it lies in, or by the deployment."""
