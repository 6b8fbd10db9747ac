"""The socket script that many have in the place of an ingestion server: a thread and a connection for each file.

    python3 threaded.py PORT FOLDER

A sender names its file in a line (name, and perhaps its size), then sends until it closes its side. No checks, no flush, no
answer but that the connection is closed.
"""

import os
import socketserver
import sys


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        line, _, body = self.request.recv(4096).partition(b"\n")
        path = os.path.join(sys.argv[2], line.split(b" ")[0].decode())
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(body)
            while body := self.request.recv(4096):
                file.write(body)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
