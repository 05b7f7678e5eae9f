"""The command `towpath`: stdout is data, stderr is progress and messages."""
