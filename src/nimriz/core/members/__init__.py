"""Who works here: members, their roles, their sessions, and what was done."""
