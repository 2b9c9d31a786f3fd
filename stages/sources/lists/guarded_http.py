"""Lists at http and https addresses are fetched through the guard that photos go through: no private addresses."""

import ssl
from functools import partial
from typing import Any

import aiohttp

from facerefs.stages.web.connection import CheckedConnector, CheckedResolver, SystemResolver
from facerefs.stages.web.limits import WebLimits

LIST_LIMITS = WebLimits("facerefs")
"""Of a list that no setting says more about."""


def http_options(limits: WebLimits) -> dict[str, Any]:
    """Options for fsspec's http filesystem: each connection, also after a redirect, goes to a checked address."""
    return {
        "get_client": partial(_session, limits),
        "skip_instance_cache": True,  # another list may have other limits
    }


async def _session(limits: WebLimits, **options: Any) -> aiohttp.ClientSession:
    """The session that fsspec asks for, in its own event loop."""
    names = CheckedResolver(SystemResolver().resolve, limits.allow_private_hosts)
    return aiohttp.ClientSession(
        connector=CheckedConnector(limits, names, ssl.create_default_context()),
        timeout=aiohttp.ClientTimeout(
            total=None, connect=limits.connect_timeout_s, sock_read=limits.idle_timeout_s
        ),
        trust_env=False,
        **options,
    )
