"""The command line of ``python -m reference``."""
