"""The health check: observes the bridge from outside, judges, alerts, and asks systemd to restart it."""
