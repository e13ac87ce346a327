"""The bridge: from scan files in a folder to the newest scan in Hazelcast."""

from importlib.metadata import version

__version__ = version("scan-bridge")
