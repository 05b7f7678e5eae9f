"""Chunk codecs that client and server share."""
