"""In front of the sandbox: a DNS server that knows one name, and TLS as real upstreams have it."""

import asyncio
import contextlib
import os
import ssl
import threading

from image.engine import REPO

FIXTURES = REPO / "tests/fixtures/tls"


class Names(asyncio.DatagramProtocol):
    """Knows one name, with the one address 127.0.0.1. Records every name it is asked for."""

    def __init__(self, name):
        self.name, self.asked = name, []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, query, client):
        labels, at = [], 12
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode())
            at += 1 + length
        name, wants_ipv4 = ".".join(labels), query[at + 1 : at + 3] == b"\0\1"
        self.asked.append(name)
        is_known = name == self.name
        record = b"\xc0\x0c" b"\0\1" b"\0\1" b"\0\0\0\x05" b"\0\4" b"\x7f\0\0\1" if is_known and wants_ipv4 else b""
        flags = b"\x81\x80" if is_known else b"\x81\x83"
        counts = b"\0\1" + (b"\0\1" if record else b"\0\0") + b"\0\0\0\0"
        self.transport.sendto(query[:2] + flags + counts + query[12 : at + 5] + record, client)


class Front(threading.Thread):
    """DNS and TLS on loopback, in a thread of their own; `port` accepts TLS and forwards to the port `behind`."""

    def __init__(self, name, behind):
        super().__init__(daemon=True)
        self.behind, self.connections = behind, 0
        self.names = Names(name)
        # Resolvers use port 53 only: this is a loopback address on which nothing else listens.
        self.dns = f"127.{os.getpid() % 254 + 1}.53.53"
        self.loop = asyncio.new_event_loop()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(FIXTURES / "test-only-server.pem", FIXTURES / "test-only-server-key.pem")
        dns = self.loop.create_datagram_endpoint(lambda: self.names, local_addr=(self.dns, 53))
        self.loop.run_until_complete(dns)
        server = self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=tls))
        self.port = server.sockets[0].getsockname()[1]

    def run(self):
        self.loop.run_forever()

    async def serve(self, reader, writer):
        self.connections += 1
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self.behind)
        await asyncio.gather(pump(reader, behind_writer), pump(behind_reader, writer))


async def pump(reader, writer):
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
