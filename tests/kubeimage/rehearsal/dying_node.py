"""A node that hands over its listener, and dies."""

import socket
import sys

if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as channel, socket.create_server(("127.0.0.1", 0)) as listener:
        socket.send_fds(channel, [b"{}\n"], [listener.fileno()])
