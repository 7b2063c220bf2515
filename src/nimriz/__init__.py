"""nimriz: self-hosted short links whose clicks are tied to revenue."""

__version__ = "0.1.0"
