"""A mail server for tests: what it takes for USER@anything lands in USER's Maildir, where the IMAP server finds it.

Usage: smtp_sink.py PLAIN_PORT TLS_PORT TLS_DIRECTORY MAIL_DIRECTORY PASSWORD

The plain port offers STARTTLS, and AUTH with any user and the one password once TLS is up; the TLS port offers AUTH at
once. Recipients that begin with "deferred" are answered 451, those that begin with "refused" 550.
"""

import asyncio
import os
import signal
import ssl
import sys
import time

from aiosmtpd.smtp import SMTP, AuthResult


class Sink:
    """Keeps mails."""

    def __init__(self, directory):
        self.directory = directory
        self.count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("deferred"):
            return "451 4.3.0 try again later"
        if address.startswith("refused"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        for address in envelope.rcpt_tos:
            self.keep(address.partition("@")[0], envelope)
        return "250 2.0.0 kept"

    def keep(self, user, envelope):
        if not user.replace("-", "").replace("_", "").isalnum():
            raise ValueError("a user's name is made of letters, digits, hyphens and underscores")
        maildir = os.path.join(self.directory, user, "Maildir")
        for name in ("tmp", "new", "cur"):
            os.makedirs(os.path.join(maildir, name), exist_ok=True)
        self.count += 1
        name = f"{time.time_ns()}.{os.getpid()}_{self.count}.sink"
        with open(os.path.join(maildir, "tmp", name), "wb") as file:
            file.write(b"Return-Path: <" + envelope.mail_from.encode("ascii", "replace") + b">\r\n")
            file.write(envelope.original_content)
        os.rename(os.path.join(maildir, "tmp", name), os.path.join(maildir, "new", name))


async def main(plain_port, tls_port, tls_directory, mail_directory, password):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(tls_directory, "server.pem"), os.path.join(tls_directory, "server.key"))
    sink = Sink(mail_directory)

    def authenticate(server, session, envelope, mechanism, data):
        return AuthResult(success=data.password == password.encode(), handled=False)

    def session(**more):
        return SMTP(sink, hostname="localhost", authenticator=authenticate, enable_SMTPUTF8=True, **more)

    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(lambda: session(tls_context=context), "127.0.0.1", plain_port),
        # The TLS of this port is outside the session's sight.
        await loop.create_server(lambda: session(auth_require_tls=False), "127.0.0.1", tls_port, ssl=context),
    ]
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    await stop.wait()
    for server in servers:
        server.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:6]))
