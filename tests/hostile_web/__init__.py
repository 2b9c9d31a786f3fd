"""Web servers on loopback that misbehave in every way we know of, for the tests of the crawl.

    with hostile_web() as web:
        for path, behaviour in BEHAVIOURS.items():
            web.url(path)   # what to fetch, with `allow_private_hosts` and `web.ca_file`
            behaviour.expected  # the reason to expect; None: it becomes a photo

Each behaviour has a host (a loopback address and a port) of its own, so that none makes another wait.
"""

from tests.hostile_web.answers import photo
from tests.hostile_web.behaviours import BEHAVIOURS
from tests.hostile_web.server import Behaviour, HostileWeb, Level, hostile_web

__all__ = ["BEHAVIOURS", "Behaviour", "HostileWeb", "Level", "hostile_web", "photo"]
