"""Places for bytes. `base` is the interface, every other module is one kind of place."""
