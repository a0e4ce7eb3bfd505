"""Cuts a Python off from the network: found through PYTHONPATH, it is imported when Python starts.

Whoever reaches out gets an error as on a machine without a network, and is written to the file
that REACHED names: an `except` around it hides nothing. This machine itself can be reached.
"""

import ipaddress
import os
import sys


def elsewhere(host) -> bool:
    """Whether a name or address is not of this machine."""
    if isinstance(host, bytes):
        host = host.decode()
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host not in (None, "", "localhost")


def watch(event: str, args: tuple) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        host = args[1][0] if isinstance(args[1], tuple) else None  # else a path, on this machine
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0]
    else:
        return
    if elsewhere(host):
        with open(os.environ["REACHED"], "a", encoding="utf-8") as file:
            file.write(f"{event} {host}\n")
        raise OSError(f"no network here: {event} {host}")


sys.addaudithook(watch)
