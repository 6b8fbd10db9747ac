#!/usr/bin/env python3
"""Sends files to tidegate by the framed protocol, with nothing but the standard library.

    push.py HOST:PORT FILE...

One connection for all files; each is streamed in chunks, whatever its size, with its digest at the end. What may be sent
again is sent again, from where it was cut, by the same upload id, so that nothing is stored twice; started anew, the program
begins anew. Exits with 0 if every file was committed, 1 if
one failed, 2 for a wrong command line, 3 if one was rejected.
"""

import hashlib
import json
import os
import select
import socket
import sys
import time
import uuid

CHUNK_BYTES = 256 * 1024
ATTEMPTS = 5


class Gate:
    """A connection to a server."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=60)
        self.answers = self.socket.makefile("rb")

    def say(self, message):
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def answer(self):
        line = self.answers.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("the server closed the connection")
        try:
            answer = json.loads(line)
        except ValueError:
            raise ConnectionError(f"this is not a tidegate server: it says {line[:80]!r}") from None
        if answer["event"] == "error":
            raise ConnectionError(answer["message"])
        return answer

    def has_answered(self):
        """Whether something waits to be read: before the end of a body that is a refusal."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def pass_by(self, file, left, digest):
        """Hashes what the server has already; an empty chunk now and then tells it that somebody is there."""
        while chunk := file.read(min(left, 64 * CHUNK_BYTES)):
            digest.update(chunk)
            left -= len(chunk)
            self.socket.sendall(b'{"chunk":0}\n')

    def put(self, path, name, upload_id, again):
        """Sends one file and returns the answer."""
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            self.say({"op": "put", "id": upload_id, "name": name, "resume": again})
            if again:
                ready = self.answer()
                if ready["event"] != "ready":
                    return ready
                self.pass_by(file, ready["offset"], digest)
            while chunk := file.read(CHUNK_BYTES):
                if self.has_answered():
                    self.say({"abort": True})
                    return self.answer()
                digest.update(chunk)
                self.socket.sendall(b'{"chunk":%d}\n' % len(chunk) + chunk)
        self.say({"end": True, "digest": "sha256:" + digest.hexdigest()})
        return self.answer()


def push(address, gate, path):
    """Sends one file until there is an answer that counts; returns it, and the connection for the next."""
    upload_id, failure = str(uuid.uuid4()), None
    for attempt in range(ATTEMPTS):
        if attempt:
            print("waiting", path, failure["message"], file=sys.stderr)
            time.sleep(0.5 * 2**attempt)
        try:
            gate = gate or Gate(address)
            answer = gate.put(path, os.path.basename(path), upload_id, again=attempt > 0)
            if answer["event"] != "failed" or not answer["retry"]:
                return answer, gate
            failure = answer
        except ConnectionError as error:
            failure = {"event": "failed", "code": "connection", "message": str(error)}
        except TimeoutError as error:
            failure = {"event": "failed", "code": "timeout", "message": str(error)}
        gate = None
    return failure, None


def main():
    host, _, port = sys.argv[1].rpartition(":") if len(sys.argv) > 2 else ("", "", "")
    if not (host and port.isdigit()):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    address, paths = (host.strip("[]"), int(port)), sys.argv[2:]
    gate, code = None, 0
    for path in paths:
        try:
            answer, gate = push(address, gate, path)
        except OSError as error:
            answer, gate = {"event": "failed", "code": "io", "message": str(error)}, None
        if answer["event"] == "committed":
            receipt = answer["receipt"]
            print("OK", receipt["key"], receipt["size"], receipt["digest"])
        else:
            print("ERR", path, answer["code"], answer["message"], file=sys.stderr)
            code = 3 if answer["event"] == "rejected" and code != 1 else 1
    sys.exit(code)


if __name__ == "__main__":
    main()
