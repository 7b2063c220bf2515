"""Stories over HTTP: what the outside world sees."""
