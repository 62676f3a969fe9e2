"""How much memory the daemon takes for a model that is bigger than memory: `make bench-memory`."""
