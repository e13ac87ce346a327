"""The host: systemd, the journal, the C library, and patience."""
