"""What is there? Every object as last seen, and the version of it that serves."""
