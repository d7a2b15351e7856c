"""Contracts: load, check against the format, compile, render and read."""
