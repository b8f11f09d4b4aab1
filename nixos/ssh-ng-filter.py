"""Lets a client of Nix's worker protocol (ssh-ng://) fetch from this machine's daemon, and nothing else.

sshd runs it as nix-ssh for a client that asks for `nix-daemon --stdio` (module.nix), in the place of that program, which
would let the client build here, add to the store and collect garbage. What the client sends is read as a whole, one
request at a time. A request that fetching needs is written anew for the daemon, so that no byte's meaning is left to
how the daemon reads it; any other ends the connection with the protocol's own error. The daemon's replies are passed on
as they are.

The protocol: Nix, src/libstore/worker-protocol.hh and daemon.cc. Numbers have eight bytes, the low ones first; a string
is its length, its bytes, and zeros up to a multiple of eight; a list is its length and its strings.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

DAEMON = "/nix/var/nix/daemon-socket/socket"
FROM_CLIENT, TO_CLIENT = 0, 1

CLIENT_MAGIC, DAEMON_MAGIC = 0x6E697863, 0x6478696F
NO_MORE_WORDS, ERROR_FOLLOWS = 0x616C7473, 0x63787470
# 1.32 is Nix 2.4's; before 1.30 the daemon would build a derivation that is asked for as a path. From 1.38 on both sides
# name features, which could change what an operation means: to each side the other looks older, so none are named.
OLDEST, NEWEST = 0x120, 0x125
TELLS_RELEASE, TELLS_TRUST = 0x121, 0x123

HANDSHAKE_SECONDS = 30
# Clients ask for all paths of a closure at once: this is some 100,000 of them.
REQUEST_BYTES = 8 * 1024 * 1024
# For each of these the daemon sets up work, and takes longer the more there are: minutes for 100,000 of them.
PATHS_TO_COPY = 1_000
CHUNK_BYTES = 128 * 1024


class Refused(Exception):
    """The connection ends here; the words are for people."""


READS_ONLY = "this cache only lets clients read"


def number(value: int) -> bytes:
    return value.to_bytes(8, "little")


def string(data: bytes) -> bytes:
    return number(len(data)) + data + bytes(-len(data) % 8)


def listed(strings: Iterable[bytes]) -> bytes:
    count, text = 0, bytearray()
    for each in strings:
        count += 1
        text += string(each)
    return number(count) + text


class Client:
    """What a client sends, one request at a time. Reading raises EOFError at the end of it."""

    def __init__(self) -> None:
        self.unread = bytearray()
        self.may_send = REQUEST_BYTES

    def operation(self) -> int:
        """The first number of the next request."""
        self.may_send = REQUEST_BYTES
        return self.number()

    def take(self, count: int) -> bytes:
        """Raises Refused before a request grows too large."""
        if count > self.may_send:
            raise Refused(f"a request has more than {REQUEST_BYTES} bytes")
        self.may_send -= count
        while len(self.unread) < count:
            chunk = os.read(FROM_CLIENT, CHUNK_BYTES)
            if not chunk:
                raise EOFError
            self.unread += chunk
        data = bytes(self.unread[:count])
        del self.unread[:count]
        return data

    def number(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def string(self) -> bytes:
        length = self.number()
        return self.take(length + -length % 8)[:length]

    def strings(self) -> Iterator[bytes]:
        for _ in range(self.number()):
            yield self.string()


IS_VALID_PATH, SET_OPTIONS, QUERY_PATH_INFO, QUERY_VALID_PATHS = 1, 19, 26, 31
NAR_FROM_PATH, QUERY_MISSING, QUERY_REALISATION, BUILD_PATHS_WITH_RESULTS = 38, 40, 43, 46

# No flags, no words to log, no jobs, no substitutes, nothing overridden: what stays is reading.
NO_OPTIONS = number(SET_OPTIONS) + number(0) * 13


def of_a_path(operation: int) -> Callable[[Client], bytes]:
    return lambda client: number(operation) + string(client.string())


def set_options(client: Client) -> bytes:
    for _ in range(12):
        client.number()
    for _ in range(2 * client.number()):
        client.string()
    return NO_OPTIONS


def query_valid_paths(client: Client) -> bytes:
    paths = listed(client.strings())
    # Whether this machine should fetch them from elsewhere first: no.
    client.number()
    return number(QUERY_VALID_PATHS) + paths + number(0)


def query_missing(client: Client) -> bytes:
    """What would have to be built or fetched here: nothing ever is, so it is asked of no path."""
    for _ in client.strings():
        pass
    return number(QUERY_MISSING) + listed([])


def query_realisation(client: Client) -> bytes:
    """
    None is known, which is what the answer to an empty list says too. The daemon is not asked: one that wants a feature
    for it refuses without having read the client's string, and would take that for the next request.
    """
    client.string()
    return number(QUERY_VALID_PATHS) + listed([]) + number(0)


def build_paths_with_results(client: Client) -> bytes:
    """Whether these paths are there: with NO_OPTIONS, it fails for those that are not."""
    paths = listed(only_paths(client.strings()))
    # Whether to check or repair them: no.
    client.number()
    return number(BUILD_PATHS_WITH_RESULTS) + paths + number(0)


def only_paths(names: Iterable[bytes]) -> Iterator[bytes]:
    """What has a `!` is a derivation with the outputs to build."""
    for count, name in enumerate(names):
        if b"!" in name:
            raise Refused(f"{READS_ONLY}, and builds nothing for them")
        if count == PATHS_TO_COPY:
            raise Refused(f"a request has more than {PATHS_TO_COPY} paths")
        yield name


# What fetching needs. Each reads the rest of such a request, and returns the one for the daemon.
OPERATIONS: dict[int, Callable[[Client], bytes]] = {
    IS_VALID_PATH: of_a_path(IS_VALID_PATH),
    SET_OPTIONS: set_options,
    QUERY_PATH_INFO: of_a_path(QUERY_PATH_INFO),
    QUERY_VALID_PATHS: query_valid_paths,
    NAR_FROM_PATH: of_a_path(NAR_FROM_PATH),
    QUERY_REALISATION: query_realisation,
    # Before `nix copy` and the like read a path, they ask for these two.
    QUERY_MISSING: query_missing,
    BUILD_PATHS_WITH_RESULTS: build_paths_with_results,
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


def greet(client: Client, daemon: socket.socket) -> None:
    """The handshake. Some clients (Lix) tell their version only once they know the daemon's."""
    if client.number() != CLIENT_MAGIC:
        raise Refused("this is not Nix's worker protocol")
    daemon.sendall(number(CLIENT_MAGIC))
    expect(daemon, DAEMON_MAGIC)
    offered = min(int.from_bytes(from_daemon(daemon, 8), "little"), NEWEST)
    write(number(DAEMON_MAGIC) + number(offered))
    version = min(client.number(), offered)
    if version < OLDEST:
        raise Refused("a Nix before 2.4 does not fetch by ssh-ng here: let it use ssh")
    if client.number():
        client.number()  # A CPU, of old.
    client.number()  # Space to reserve, of old.
    daemon.sendall(number(version) + number(0) * 2)
    welcome = b""
    if version >= TELLS_RELEASE:
        length = int.from_bytes(from_daemon(daemon, 8), "little")
        if length > CHUNK_BYTES:
            raise Refused("this cache's Nix daemon does not answer as one")
        welcome += number(length) + from_daemon(daemon, length + -length % 8)
    if version >= TELLS_TRUST:
        welcome += from_daemon(daemon, 8)
    welcome += expect(daemon, NO_MORE_WORDS)
    # A client need not send options.
    daemon.sendall(NO_OPTIONS)
    expect(daemon, NO_MORE_WORDS)
    write(welcome)


def pass_requests_on(client: Client, daemon: socket.socket) -> None:
    while True:
        operation = client.operation()
        if operation not in OPERATIONS:
            raise Refused(f"{READS_ONLY}, which operation {operation} is not for")
        daemon.sendall(OPERATIONS[operation](client))


def pass_replies_on(daemon: socket.socket) -> None:
    buffer = memoryview(bytearray(CHUNK_BYTES))
    while count := daemon.recv_into(buffer):
        write(buffer[:count])


def error(words: str) -> bytes:
    """The protocol's: kind, level, name, words; no position, no trace."""
    kind = string(b"Error")
    return number(ERROR_FOLLOWS) + kind + number(0) + kind + string(words.encode()) + number(0) * 2


def serve(client: Client, daemon: socket.socket) -> int:
    """Returns the status to exit with."""
    # The client has this long for its part; then this process ends by the signal.
    signal.alarm(HANDSHAKE_SECONDS)
    try:
        daemon.connect(DAEMON)
    except OSError as failure:
        raise Refused(f"this cache's Nix daemon cannot be reached: {failure.strerror}") from None
    greet(client, daemon)
    signal.alarm(0)

    refused: list[str] = []

    def requests() -> None:
        try:
            pass_requests_on(client, daemon)
        except Refused as refusal:
            refused.append(f"nixos-cache: {refusal}")
        except (EOFError, OSError):
            pass
        finally:
            # The daemon answers what it has been asked before, and ends; it may be gone already.
            with suppress(OSError):
                daemon.shutdown(socket.SHUT_WR)

    # Beside the replies: a client may ask for more before it has read what it asked for.
    threading.Thread(target=requests, daemon=True).start()
    pass_replies_on(daemon)
    for words in refused:
        write(error(words))
    return 1 if refused else 0


def main() -> int:
    try:
        return serve(Client(), socket.socket(socket.AF_UNIX))
    except Refused as refusal:
        print(f"nixos-cache: {refusal}", file=sys.stderr, flush=True)
    except (EOFError, OSError):
        pass
    return 1


# Without waiting for the thread that may still read from the client.
os._exit(main())
