"""Second opinions on one file: what its engine was not sure of, or had no words for, is heard by another one."""
