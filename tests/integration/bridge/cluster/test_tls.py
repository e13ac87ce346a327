"""TLS to the cluster: who proves to be the one is talked to, anyone else is refused, and it is said why.

Hazelcast's own TLS is not in the Community Edition, so a TLS terminator stands before a real member.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support import process
from support.hazelcast_member import Member
from support.relay import Relay

from bridge.cluster.connection import Cluster, ClusterError
from bridge.cluster.hazelcast_client import ByteArray
from bridge.config import Hazelcast, Tls

pytestmark = [pytest.mark.hazelcast, pytest.mark.openssl]


class Identity(NamedTuple):
    """A self-signed certificate, which is its own CA, and its private key."""

    certificate: Path
    key: Path


def identity(folder: Path, name: str, of: str) -> Identity:
    made = Identity(folder / f"{name}.pem", folder / f"{name}.key")
    kind = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1")
    whose = ("-subj", f"/CN={name}", "-addext", f"subjectAltName={of}")
    command = ("openssl", "req", *kind, *whose, "-keyout", made.key, "-out", made.certificate)
    process.run(command, check=True)
    return made


NewTerminator = Callable[..., Relay]


@pytest.fixture
def new_terminator(member: Member) -> Iterator[NewTerminator]:
    """Makes one that shows a certificate; `clients` is the CA of the certificate that a client must show."""
    made: list[Relay] = []

    def new(server: Identity, clients: Identity | None = None) -> Relay:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*server)
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients.certificate)
        made.append(Relay(member.port, context))
        made[-1].open()
        return made[-1]

    yield new
    for terminator in made:
        terminator.shut()


def exchange(member: Member, terminator: Relay, **tls: Any) -> None:
    """Put a value in and read it back, by TLS."""
    config = Hazelcast(
        members=(terminator.address,),
        cluster_name=member.cluster_name,
        connect_timeout_s=3.0,
        tls=Tls(enabled=True, **tls),
    )

    async def talk() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # as the bridge does
        cluster = Cluster(config, "test")
        try:
            await cluster.connect()
            old, new = ByteArray.of(b"value" * 100_000), ByteArray.of(b"other" * 1_000_000)
            await cluster.set("tls", old)
            assert await cluster.get("tls") == old
            assert await cluster.replace_if_same("tls", old, new)
            assert await cluster.get("tls") == new
        finally:
            await cluster.close()

    asyncio.run(talk())


def test_a_cluster_with_a_certificate_of_the_ca_is_talked_to(
    member: Member, new_terminator: NewTerminator, tmp_path: Path
) -> None:
    server = identity(tmp_path, "server", "IP:127.0.0.1")
    exchange(member, new_terminator(server), ca_file=server.certificate)


@pytest.mark.parametrize("ca", ["another", "the system's"])
def test_a_cluster_with_a_certificate_of_another_ca_is_refused(
    member: Member, new_terminator: NewTerminator, tmp_path: Path, ca: str
) -> None:
    terminator = new_terminator(identity(tmp_path, "server", "IP:127.0.0.1"))
    another = identity(tmp_path, "another", "IP:127.0.0.1").certificate
    with pytest.raises(ClusterError, match="certificate verify failed"):
        exchange(member, terminator, ca_file=another if ca == "another" else None)


def test_a_certificate_of_another_host_is_refused_unless_told_otherwise(
    member: Member, new_terminator: NewTerminator, tmp_path: Path
) -> None:
    server = identity(tmp_path, "server", "DNS:elsewhere.example")
    terminator = new_terminator(server)
    with pytest.raises(ClusterError, match=r"127\.0\.0\.1"):
        exchange(member, terminator, ca_file=server.certificate)
    exchange(member, terminator, ca_file=server.certificate, check_hostname=False)


def test_a_cluster_that_wants_to_know_its_clients_is_shown_the_certificate(
    member: Member, new_terminator: NewTerminator, tmp_path: Path
) -> None:
    server, client = identity(tmp_path, "server", "IP:127.0.0.1"), identity(tmp_path, "client", "DNS:bridge")
    terminator = new_terminator(server, client)
    with pytest.raises(ClusterError):
        exchange(member, terminator, ca_file=server.certificate)
    exchange(member, terminator, ca_file=server.certificate, cert_file=client.certificate, key_file=client.key)
