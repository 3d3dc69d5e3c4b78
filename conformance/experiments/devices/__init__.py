"""One network on two devices: operator by operator, and whole runs."""
