"""Backups: copies of a whole installation, made beside a running server, checked, and put back."""
