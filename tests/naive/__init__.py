"""Loops copied from the equations, one file a room: slow, and what every fast path is held to."""
