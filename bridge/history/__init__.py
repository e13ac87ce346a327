"""Every valid scan of the last hours, in a map of its own. A process beside the bridge, which it never holds up."""
