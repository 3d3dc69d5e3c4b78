"""What this machine has for the catalogue: MXNet's build, libraries, driver and devices."""
