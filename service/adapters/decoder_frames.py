"""What a gateway and a process that decodes for it say to each other: numbers and bytes, nothing that could be code."""

import socket
import struct

# Format, width and height that the header claims; left, top, width and height of a frame in px, all 0 for the whole
# picture; length of the file that follows.
REQUEST = struct.Struct("!4sII4dI")
# Whether it went well, length of what follows: the answer, or why there is none.
ANSWER = struct.Struct("!?I")
# What comes before the pixels of a decoded picture: width and height, px.
SIZE = struct.Struct("!II")
# What a process says once it can decode.
READY = b"\n"
WHOLE = (0.0, 0.0, 0.0, 0.0)


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
