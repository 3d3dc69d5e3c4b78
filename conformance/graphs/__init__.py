"""What a network is, however it was written: canonical graphs, traced, matched, rewritten and run."""
