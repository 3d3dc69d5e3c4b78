"""A run as data, as a page, and beside an earlier run."""
