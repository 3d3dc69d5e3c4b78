"""Short training runs on real images: the network learns what can be learned, and nothing else."""

CHECKS = ()
