"""The dashboard: pages for those who work in a workspace, rendered here, without a framework in the browser."""
