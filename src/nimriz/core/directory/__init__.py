"""Who there is: workspaces, their plans and credentials, and what is kept sealed."""
