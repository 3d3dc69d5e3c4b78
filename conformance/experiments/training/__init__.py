"""One network trained: short courses, and any loop watched at work."""
