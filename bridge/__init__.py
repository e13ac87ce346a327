"""The bridge: from scan files in a folder to the newest scan in Hazelcast."""

__version__: str


def __getattr__(name: str) -> str:
    """The version, when it is asked for: to look it up takes longer than to print a command's help."""
    if name != "__version__":
        raise AttributeError(name)
    from importlib.metadata import version

    return version("scan-bridge")
