"""What is kept on disk between checks."""
