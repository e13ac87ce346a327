"""The running bridge: its stages, what they remember, and what they tell."""
