"""What a check does: restart, deliver, ping. They never judge."""
