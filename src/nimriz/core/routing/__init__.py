"""Where a visitor is sent: rules, experiments, and the signpost that the redirect reads."""
