"""A network that can be cut: a proxy in front of the app that drops every connection and takes none for a while."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress


class Line:
    """Bytes to and from `port`, on a port of its own."""

    def __init__(self, port: int):
        self.target, self.open_sockets, self.is_up = port, set[socket.socket](), True
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = self.door.getsockname()[1]
        threading.Thread(target=self._serve, args=(self.door,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def cut(self, seconds: float) -> None:
        """Drop everything; whoever connects meanwhile is refused."""
        self.is_up = False
        _drop(self.door)  # closing alone would leave the waiting `accept` one more visitor, to be hung up on
        for end in list(self.open_sockets):
            _drop(end)
        time.sleep(seconds)
        self.is_up = True
        self.door = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, args=(self.door,), daemon=True).start()

    def close(self) -> None:
        self.is_up = False
        _drop(self.door)
        for end in list(self.open_sockets):
            _drop(end)

    def _serve(self, door: socket.socket) -> None:
        while True:
            try:
                visitor, _ = door.accept()
            except OSError:
                return
            if not self.is_up:  # accepted in the instant of the cut
                visitor.close()
                return
            app = socket.create_connection(("127.0.0.1", self.target))
            self.open_sockets |= {visitor, app}
            for ends in ((visitor, app), (app, visitor)):
                threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        for end in (source, sink):
            self.open_sockets.discard(end)
            _drop(end)


def _drop(end: socket.socket) -> None:
    with suppress(OSError):  # the other side was first
        end.shutdown(socket.SHUT_RDWR)
    end.close()
