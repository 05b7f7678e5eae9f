"""Numbers, each with the command that makes it. `python -m bench` is the whole comparison."""
