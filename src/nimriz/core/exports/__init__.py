"""What a workspace takes along: files made in the background, and the whole of an installation."""
