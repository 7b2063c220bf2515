"""The store: SQLite, migrations, wider statements and group commit."""
