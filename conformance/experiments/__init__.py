"""One network at work: built, run in every variant, exported, and asked where two of its runs part."""
