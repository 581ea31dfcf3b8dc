"""How files that ship in `infra` are made: tiny model, recordings, provider schema. Not part of the wheel."""
