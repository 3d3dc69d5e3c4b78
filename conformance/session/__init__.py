"""A pytest run of the catalogue: what is asked for, the cases of it, their snapshots, and how it is shown."""
