"""Tables of what was measured of PyTorch layers, one file a part."""
