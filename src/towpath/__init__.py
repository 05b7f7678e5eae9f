"""Towpath hauls very large files: resumably, in bounded memory, and provably intact."""
