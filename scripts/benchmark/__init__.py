"""The parts of scripts/bench: pgark beside its peers, measured on one machine."""
