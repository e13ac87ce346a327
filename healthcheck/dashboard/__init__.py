"""The page for the browser. Read-only."""
