"""The hot paths: what a process remembers, reads, limits and counts."""
