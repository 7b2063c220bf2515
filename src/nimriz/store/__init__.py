"""The only floor that knows which SQL engine there is."""
