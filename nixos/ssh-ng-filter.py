"""Lets a client of Nix's worker protocol (ssh-ng://) fetch from this machine's daemon, and nothing else.

sshd runs it as nix-ssh for a client that asks for `nix-daemon --stdio` (module.nix), in the place of that program, which
would let the client build here, add to the store and collect garbage. The client's direction is parsed: an operation
that fetching needs goes on to the daemon once it is there as a whole, and any other ends the connection with the
protocol's own error. The daemon's replies are passed on as they are. Nothing is kept but one request, of limited size.

The protocol: Nix, src/libstore/worker-protocol.hh and daemon.cc. Numbers have eight bytes, the low ones first; a string
is its length, its bytes, and zeros up to a multiple of eight.
"""

import os
import signal
import socket
import sys
import threading

DAEMON = "/nix/var/nix/daemon-socket/socket"
FROM_CLIENT, TO_CLIENT = 0, 1

CLIENT_MAGIC, DAEMON_MAGIC = 0x6E697863, 0x6478696F
NO_MORE_WORDS, ERROR_FOLLOWS = 0x616C7473, 0x63787470
# 1.32 is Nix 2.4's. From 1.38 on both sides name features, which could change what an operation means: to each side the
# other looks older, so none are named.
OLDEST, NEWEST = 0x120, 0x125
TELLS_RELEASE, TELLS_TRUST = 0x121, 0x123
SET_OPTIONS = 19

HANDSHAKE_SECONDS = 30
# Clients ask for all paths of a closure at once: this is some 100,000 of them.
REQUEST_BYTES = 8 * 1024 * 1024
CHUNK_BYTES = 128 * 1024


class Refused(Exception):
    """The connection ends here; the words are for people."""


def number(value: int) -> bytes:
    return value.to_bytes(8, "little")


def string(text: str) -> bytes:
    data = text.encode()
    return number(len(data)) + data + bytes(-len(data) % 8)


class Request:
    """What a client sends, as far as it has been read: one request at a time."""

    def __init__(self) -> None:
        self.unread = bytearray()
        self.text = bytearray()

    def begin(self) -> None:
        self.text.clear()

    def take(self, count: int) -> bytes:
        """Raises EOFError at the connection's end, Refused before a request grows too large."""
        if len(self.text) + count > REQUEST_BYTES:
            raise Refused(f"a request has more than {REQUEST_BYTES} bytes")
        while len(self.unread) < count:
            chunk = os.read(FROM_CLIENT, CHUNK_BYTES)
            if not chunk:
                raise EOFError
            self.unread += chunk
        data = bytes(self.unread[:count])
        del self.unread[:count]
        self.text += data
        return data

    def number(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def string(self) -> bytes:
        length = self.number()
        return self.take(length + -length % 8)[:length]

    def strings(self) -> None:
        for _ in range(self.number()):
            self.string()


# No flags, no words to log, no jobs, no substitutes, nothing overridden: what stays is reading.
NO_OPTIONS = number(0) * 13


def valid_paths(request: Request) -> None:
    request.strings()
    # Whether this machine should fetch them from elsewhere first: no.
    request.number()
    request.text[-8:] = number(0)


def options(request: Request) -> None:
    for _ in range(12):
        request.number()
    for _ in range(2 * request.number()):
        request.string()
    request.text[8:] = NO_OPTIONS


def missing(request: Request) -> None:
    request.strings()
    # Nothing is built here for a client, nor fetched from elsewhere: so it is asked of no path.
    request.text[8:] = number(0)


def build_paths(request: Request) -> None:
    """That these paths are there: without substitutes, this fails for those that are not. Nothing with outputs to build."""
    for _ in range(request.number()):
        if b"!" in request.string():
            raise Refused("this cache only lets clients read, and builds nothing for them")
    # No check, no repair.
    request.number()
    request.text[-8:] = number(0)


# What fetching needs, and how the rest of such a request is read.
OPERATIONS = {
    1: Request.string,  # IsValidPath
    SET_OPTIONS: options,
    26: Request.string,  # QueryPathInfo
    31: valid_paths,  # QueryValidPaths
    38: Request.string,  # NarFromPath
    43: Request.string,  # QueryRealisation
    # Before `nix copy` and the like read a path, they ask for these two.
    40: missing,  # QueryMissing
    46: build_paths,  # BuildPathsWithResults
}


def write(data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(TO_CLIENT, view) :]


def from_daemon(daemon: socket.socket, count: int) -> bytes:
    data = daemon.recv(count, socket.MSG_WAITALL)
    if len(data) < count:
        raise Refused("this cache's Nix daemon ended the connection")
    return data


def expect(daemon: socket.socket, expected: int) -> bytes:
    data = from_daemon(daemon, 8)
    if data != number(expected):
        raise Refused("this cache's Nix daemon does not answer as one")
    return data


def greet(request: Request, daemon: socket.socket) -> None:
    """The handshake. Some clients (Lix) tell their version only once they know the daemon's."""
    if request.number() != CLIENT_MAGIC:
        raise Refused("this is not Nix's worker protocol")
    daemon.sendall(number(CLIENT_MAGIC))
    expect(daemon, DAEMON_MAGIC)
    offered = min(int.from_bytes(from_daemon(daemon, 8), "little"), NEWEST)
    write(number(DAEMON_MAGIC) + number(offered))
    version = min(request.number(), offered)
    if version < OLDEST:
        raise Refused("a Nix before 2.4 does not fetch by ssh-ng here: let it use ssh")
    if request.number():
        request.number()  # A CPU, of old.
    request.number()  # Space to reserve, of old.
    daemon.sendall(number(version) + number(0) * 2)
    welcome = bytearray()
    if version >= TELLS_RELEASE:
        length = from_daemon(daemon, 8)
        size = int.from_bytes(length, "little")
        welcome += length + from_daemon(daemon, min(size + -size % 8, CHUNK_BYTES))
    if version >= TELLS_TRUST:
        welcome += from_daemon(daemon, 8)
    welcome += expect(daemon, NO_MORE_WORDS)
    daemon.sendall(number(SET_OPTIONS) + NO_OPTIONS)
    expect(daemon, NO_MORE_WORDS)
    write(welcome)


def pass_requests_on(request: Request, daemon: socket.socket) -> None:
    while True:
        request.begin()
        operation = request.number()
        if operation not in OPERATIONS:
            raise Refused(f"this cache only lets clients read, which operation {operation} is not for")
        OPERATIONS[operation](request)
        daemon.sendall(request.text)


def pass_replies_on(daemon: socket.socket) -> None:
    buffer = memoryview(bytearray(CHUNK_BYTES))
    while count := daemon.recv_into(buffer):
        write(buffer[:count])


def error(words: str) -> bytes:
    """The protocol's: kind, level, name, words; no position, no trace."""
    return (
        number(ERROR_FOLLOWS) + string("Error") + number(0) + string("Error") + string(words) + number(0) * 2
    )


def serve(daemon: socket.socket) -> int:
    """Returns the status to exit with."""
    request = Request()
    # The client has this long for its part; then this process ends by the signal.
    signal.alarm(HANDSHAKE_SECONDS)
    try:
        daemon.connect(DAEMON)
    except OSError as failure:
        raise Refused(f"this cache's Nix daemon cannot be reached: {failure.strerror}") from None
    greet(request, daemon)
    signal.alarm(0)

    refusals: list[Refused] = []

    def requests() -> None:
        try:
            pass_requests_on(request, daemon)
        except Refused as refusal:
            refusals.append(refusal)
        except (EOFError, OSError):
            pass
        # The daemon answers what it has been asked before, and ends.
        try:
            daemon.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    threading.Thread(target=requests, daemon=True).start()
    pass_replies_on(daemon)
    for refusal in refusals:
        write(error(f"nixos-cache: {refusal}"))
    return 1 if refusals else 0


def main() -> int:
    try:
        return serve(socket.socket(socket.AF_UNIX))
    except Refused as refusal:
        print(f"nixos-cache: {refusal}", file=sys.stderr, flush=True)
    except (EOFError, OSError):
        pass
    return 1


# Without waiting for the thread that may still read from the client.
os._exit(main())
