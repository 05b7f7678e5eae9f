"""The pure heart: values and decisions. No clock, no socket, no disk, no thread."""
