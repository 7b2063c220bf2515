"""HTTP: the only floor that is asynchronous."""
