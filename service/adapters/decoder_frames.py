"""What a gateway and a process that decodes for it say to each other: numbers and bytes, nothing that could be code."""

import socket
import struct

# Format, width and height that the header claims, length of the file that follows.
REQUEST = struct.Struct("!4sIII")
# Whether it went well, width and height of the upright picture, length of what follows: the pixels, or why not.
ANSWER = struct.Struct("!?III")
# What a process says once it can decode.
READY = b"\n"


def read_exactly(connection: socket.socket, num_bytes: int) -> bytes:
    """Read so many bytes; EOFError if the other side closes before."""
    content = bytearray(num_bytes)
    rest = memoryview(content)
    while rest:
        num_read = connection.recv_into(rest)
        if not num_read:
            raise EOFError
        rest = rest[num_read:]
    return bytes(content)
