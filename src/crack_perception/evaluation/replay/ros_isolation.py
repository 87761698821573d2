# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Isolated ROS 2 environment: local machine only, separate domain, transport for large images."""

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
CYCLONE_CONFIGURATION = "cyclonedds_large_images.xml"

# RTPS well-known ports (DDSI-RTPS 9.6.2.3): the first participant of a domain uses port 7410 + 250 * domain. Domains
# above 101 overlap with the ephemeral ports of Linux.
_FIRST_PARTICIPANT_PORT = 7410
_PORTS_PER_DOMAIN = 250
_DOMAINS = range(1, 102)
# Higher domains have no valid port numbers.
_LAST_DOMAIN = 232


@contextmanager
def _reserved_domain() -> Iterator[int]:
    """Choose a domain in which nothing runs, and keep other isolated runs on this machine out of it meanwhile.

    The reservation is an abstract socket of Linux: it ends with the process, also with one that is killed.
    """
    for domain in random.sample(_DOMAINS, len(_DOMAINS)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reservation:
            try:
                reservation.bind(f"\0crack_perception/ros_domain/{domain}")
            except OSError:
                continue
            if _is_unused(domain):
                yield domain
                return
    yield random.choice(_DOMAINS)


def _is_unused(domain: int) -> bool:
    """Whether no participant of this machine has the domain's first port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", _FIRST_PARTICIPANT_PORT + _PORTS_PER_DOMAIN * domain))
        except OSError:
            return False
    return True


@contextmanager
def isolated_ros() -> Iterator[int]:
    """Set the environment of this process and its children for isolated replays; yields the domain.

    A ``ROS_DOMAIN_ID``, discovery range, Fast DDS profile or Cyclone DDS configuration set by the user is kept.

    Raises:
        UserError: ``ROS_DOMAIN_ID`` is not a valid domain.
    """
    if not os.environ.get("ROS_DOMAIN_ID"):
        with _reserved_domain() as reserved, _environment(str(reserved)):
            yield reserved
        return
    domain = os.environ["ROS_DOMAIN_ID"]
    if not (domain.isdecimal() and int(domain) <= _LAST_DOMAIN):
        raise UserError(
            f"ROS_DOMAIN_ID '{domain}' is not a valid domain", f"Unset it, or choose a number from 0 to {_LAST_DOMAIN}"
        )
    with _environment(domain):
        yield int(domain)


@contextmanager
def _environment(domain: str) -> Iterator[None]:
    """Set what is not set yet, and take it back afterwards."""
    discovery = local_discovery()
    wanted = {
        "ROS_DOMAIN_ID": domain,
        discovery[0]: discovery[1],
        # Each middleware ignores the other's variable.
        profile_variable(): str(config_file(LARGE_IMAGE_PROFILE)),
        "CYCLONEDDS_URI": config_file(CYCLONE_CONFIGURATION).as_uri(),
    }
    added = {name: value for name, value in wanted.items() if not os.environ.get(name)}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
