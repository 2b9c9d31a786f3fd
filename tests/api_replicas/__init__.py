"""Replicas of the APIs of Wikimedia Commons, Wikidata and Openverse, on the loopback interface.

They answer in the documented formats, serve real photos, and record violations of the APIs' etiquette.
`python -m tests.api_replicas --port 8123 --photos FOLDER` serves the photos of a folder with one sub-folder per
person.
"""

from tests.api_replicas.server import Replica
from tests.api_replicas.world import File, World, jpeg, world_of_folder

__all__ = ["File", "Replica", "World", "jpeg", "world_of_folder"]
