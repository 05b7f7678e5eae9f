"""The verbs, and the bytes' way to the store. Knows no HTTP and no SQL; names no concrete class."""
