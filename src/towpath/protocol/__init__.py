"""Dialects: words of a protocol <-> commands of the engine. Pure; no I/O, no HTTP library."""
