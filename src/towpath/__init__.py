"""Towpath hauls very large files into a Python system: resumable, verified, in bounded memory."""
