"""What an operator types, but for `run`."""
