"""Cipherlane inside other systems: an adapter each, which imports its host system only when it is used."""
