"""That nobody edited the ledger: rows, seals, roots, and who checks them."""
