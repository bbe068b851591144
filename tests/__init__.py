"""The tests: a mirror of the package, and the naive references that every fast path is held to."""
