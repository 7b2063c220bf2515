"""The management and reading API, for keys with scopes."""
