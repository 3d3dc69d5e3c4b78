"""The process of its own in which a subject is built and run: the side that asks, and the side that answers."""
