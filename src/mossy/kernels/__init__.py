"""Compiled loops: arrays in, arrays out, no user errors.

This folder's modules import Numba, which takes half a second. So they are imported inside the functions that
call a kernel, never at the top of a module, and only for work that is large enough to be worth it.
"""
