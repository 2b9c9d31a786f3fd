"""What happens to a build when something is broken under it."""
