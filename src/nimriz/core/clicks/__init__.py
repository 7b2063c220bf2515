"""What a click tells, what it is worth, and how long it is kept."""
