"""What breaks files on purpose: kills, damage, and a search for remnants, for the tests and the benchmark alike."""
