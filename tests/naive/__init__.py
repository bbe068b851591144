"""Loops copied from the equations, one file a room. They are slow, and they are what the package is held to."""
