"""Faults: killed processes, a ledger changed by hand, records that cannot be read."""
