"""A corner of ROS 2 of one's own: local machine only, own domain, large images allowed."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from crack_perception.errors import UserError
from crack_perception.middleware import local_discovery, profile_variable
from crack_perception.paths import config_file

LARGE_IMAGE_PROFILE = "fastdds_large_images.xml"

# RTPS well-known ports (DDSI-RTPS 9.6.2.3): the first participant of a domain listens at 7410 + 250 * domain. Domains
# above 101 would fall into Linux' ephemeral ports.
_FIRST_PARTICIPANT_PORT = 7410
_PORTS_PER_DOMAIN = 250
_DOMAINS = range(1, 102)
# Beyond this one the ports end.
_LAST_DOMAIN = 232


def free_domain() -> int:
    """A domain that nobody on this machine seems to use."""
    for domain in random.sample(_DOMAINS, len(_DOMAINS)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", _FIRST_PARTICIPANT_PORT + _PORTS_PER_DOMAIN * domain))
            except OSError:
                continue
            return domain
    return random.choice(_DOMAINS)


@contextmanager
def isolated_ros() -> Iterator[int]:
    """Set this process' environment (and so its children's) for isolated replays; yields the domain.

    A ``ROS_DOMAIN_ID``, discovery range or Fast DDS profile that the user has set is kept.

    Raises:
        UserError: ``ROS_DOMAIN_ID`` is no domain.
    """
    domain = os.environ.get("ROS_DOMAIN_ID") or str(free_domain())
    if not (domain.isdecimal() and int(domain) <= _LAST_DOMAIN):
        raise UserError(
            f"ROS_DOMAIN_ID is '{domain}', which is no domain", f"Unset it, or choose a number from 0 to {_LAST_DOMAIN}"
        )
    discovery = local_discovery()
    wanted = {
        "ROS_DOMAIN_ID": domain,
        discovery[0]: discovery[1],
        profile_variable(): str(config_file(LARGE_IMAGE_PROFILE)),
    }
    added = {name: value for name, value in wanted.items() if not os.environ.get(name)}
    os.environ.update(added)
    try:
        yield int(domain)
    finally:
        for name in added:
            os.environ.pop(name, None)
