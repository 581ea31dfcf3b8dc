"""In which language the words of a recording are, where its owner does not know."""
