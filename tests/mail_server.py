"""A mail server on loopback that remembers what it was sent; with a certificate it offers STARTTLS, or is encrypted from the first byte."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Iterator


class MailServer:
    """Takes every mail, unless told to refuse a word."""

    def __init__(self, context: ssl.SSLContext | None = None, refuses: str = "", implicit: bool = False) -> None:
        self.identities: list[str] = []  # Message-IDs of the mails that it took, in order
        self.mails: list[list[str]] = []  # their lines
        self.said: list[str] = []  # every command that it was given
        owner = self

        class Handler(socketserver.StreamRequestHandler):
            def say(self, *lines: str) -> None:
                self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

            def handle(self) -> None:
                self.encrypted = False
                try:
                    self.talk()
                except (OSError, ValueError):  # a client that was killed, or wants no such certificate
                    return
                finally:
                    self.connection.close()

            def encrypt(self) -> None:
                assert context
                wire = context.wrap_socket(self.connection, server_side=True)
                self.encrypted, self.connection = True, wire
                self.rfile, self.wfile = wire.makefile("rb"), wire.makefile("wb", buffering=0)

            def talk(self) -> None:
                if implicit:
                    self.encrypt()
                self.say("220 test")
                while line := self.rfile.readline():
                    words = line.decode().strip()
                    owner.said.append(words)
                    word = words.split(" ")[0].upper()
                    if word == refuses:
                        self.say("535 no")
                    elif word == "EHLO":
                        self.say("250-test", *(["250-STARTTLS"] if context and not self.encrypted else []), *(["250-AUTH PLAIN"] if self.encrypted else []), "250 8BITMIME")
                    elif word == "STARTTLS" and context:
                        self.say("220 go on")
                        self.encrypt()
                    elif word == "DATA":
                        self.say("354 go on")
                        mail = list(self.mail())
                        if mail and mail[-1] == ".":  # whole, so it counts, whether or not the client lives to hear so
                            owner.mails.append(mail[:-1])
                            owner.identities += [text.partition(": ")[2] for text in mail if text.startswith("Message-ID: ")]
                        self.say("250 taken")
                    elif word == "QUIT":
                        return self.say("221 bye")
                    else:
                        self.say("235 welcome" if word == "AUTH" else "250 ok")

            def mail(self) -> Iterator[str]:
                while line := self.rfile.readline():
                    yield (text := line.decode().rstrip("\r\n"))
                    if text == ".":
                        return

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = int(self.server.server_address[1])
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self) -> MailServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
