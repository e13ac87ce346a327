"""The settings of the health check, in the sections `[health…]` of the bridge's file."""
