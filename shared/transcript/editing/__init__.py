"""Words as engines wrote them -> words as the upload's owner wants them written, with their times."""
