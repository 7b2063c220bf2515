"""What the service is about: one noun, one file, its own SQL, plain functions f(tx, ...)."""
