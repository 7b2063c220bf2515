"""Links and domains: what a short URL is, where it leads, and who may change it."""
