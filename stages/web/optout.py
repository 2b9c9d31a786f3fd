"""Opt-outs from machine learning in the headers of an answer."""

import re

from multidict import CIMultiDictProxy

_OPT_OUTS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})  # none: noindex and nofollow
_MAX_CHARACTERS = 8192  # of all X-Robots-Tag headers
_MAX_SHOWN = 300
_NAMED = re.compile(r"\s*(?P<name>\*|[0-9]*[a-z_][^\s:]*)\s*:(?P<rest>.*)", re.DOTALL)  # no date, no time
_VALUED = re.compile(r"unavailable_after|max-.*")  # directives that have a value behind a colon


def opt_out_statement(headers: CIMultiDictProxy[str], agent: str = "facerefs") -> str | None:
    """The first opt-out from machine learning, such as `X-Robots-Tag: noai`, or None. Never raises.

    X-Robots-Tag: a list of directives; a name before a colon is the agent to which those after it apply.
    tdm-reservation (TDM Reservation Protocol, section 6.1): 1 reserves, with the policy if there is one.
    """
    left = _MAX_CHARACTERS
    for value in headers.getall("X-Robots-Tag", ()):
        directive = _directive(value[:left], agent.lower())
        if directive is not None:
            return f"X-Robots-Tag: {directive}"
        left = max(0, left - len(value))
    if any(value.strip() == "1" for value in headers.getall("tdm-reservation", ())):
        policy = headers.get("tdm-policy")
        return printable("tdm-reservation: 1" + (f", tdm-policy: {policy.strip()}" if policy else ""))
    return None


def _directive(value: str, agent: str) -> str | None:
    concerns_us = True
    for part in value.lower().split(","):
        item = part
        while named := _NAMED.match(item):
            if _VALUED.fullmatch(named["name"]):
                item = ""
            else:
                concerns_us = named["name"] in (agent, "*")
                item = named["rest"]
        for directive in item.replace(";", " ").split() if concerns_us else ():
            if directive in _OPT_OUTS:
                return directive
    return None


def printable(text: str) -> str:
    """A host's text as it can be stored: at most 300 characters, each unprintable one replaced by `?`."""
    return "".join(c if c.isprintable() else "?" for c in text[:_MAX_SHOWN])
