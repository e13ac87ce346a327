"""What lies on disk: inotify, listing, reading."""
