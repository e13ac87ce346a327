"""The health check: observes the bridge from outside, judges it by rules, alerts, and asks systemd to restart."""
