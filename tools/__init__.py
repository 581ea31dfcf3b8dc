"""How the files that ship in `infra` are made: the tiny model and the recordings. Not part of the wheel."""
