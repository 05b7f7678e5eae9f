"""HTTP in and out. Bytes pass here; what they mean is decided elsewhere."""
