"""The 12 networks, one family a file, and finding them by name."""
