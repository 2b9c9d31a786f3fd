"""Public services that list photos: Wikimedia Commons and Openverse."""
