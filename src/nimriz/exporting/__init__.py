"""Making the files of exports, in a process of its own: neither a redirect nor a report waits for it."""
