"""The columnar side: what is asked over many clicks, answered by a store that can be thrown away and made anew.

One process owns the file `analytics.duckdb`. It copies what was committed, by cursor, and answers over a Unix socket.
"""
