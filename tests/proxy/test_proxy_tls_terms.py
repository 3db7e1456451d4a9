"""What both ends of a TLS connection agree on, and that renewed certificates take effect."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest
from support.certificates import Identity
from support.clock import FakeClock
from support.relay_end import RelayEnd, always, answer, predict, relay_running
from support.trust import HOSTS, Trust, ask, tls_both

from sidecar.errors import ConfigurationError
from sidecar.events import Events
from sidecar.kit import logs
from sidecar.proxy import certificates
from sidecar.proxy.certificates import LOOK_SECONDS, listener_context, listener_files, listener_tls
from sidecar.settings import Settings

BOTH = ("h2", "http/1.1")


@pytest.mark.parametrize(
    ("wanted", "agreed"), [(("h2",), "h2"), (("http/1.1",), "http/1.1"), (("http/1.1", "h2"), "h2"), ((), None)]
)
async def test_both_connections_carry_the_protocol_that_the_client_agreed_on(
    trust: Trust, wanted: tuple[str, ...], agreed: str | None
) -> None:
    spoken: list[str | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        spoken.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        writer.write(await reader.readexactly(4))

    async with tls_both(trust, serve, model_tls=trust.model(alpn=BOTH), alpn=BOTH) as end:
        reader, writer = await end.connect(trust.authority.client(alpn=wanted))
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == agreed
        writer.write(b"PRI ")
        assert await asyncio.wait_for(reader.readexactly(4), 5) == b"PRI "
        writer.close()
        assert spoken == [agreed]


@pytest.mark.parametrize(("alpn", "agreed"), [((), None), (("http/1.1", "h2"), "http/1.1")])
async def test_a_plain_client_is_taken_to_speak_http1(trust: Trust, alpn: tuple[str, ...], agreed: str | None) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        spoken = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        writer.write(answer(str(spoken).encode()))

    async with relay_running(serve, model_tls=trust.model(alpn=alpn), upstream_ca=trust.authority.path) as end:
        assert await end.talk([predict()], then_fin=False) == answer(str(agreed).encode())


async def test_a_model_that_does_not_speak_what_the_client_does_is_not_connected(trust: Trust) -> None:
    async with tls_both(trust, always(answer()), alpn=BOTH) as end:
        with pytest.raises(ConnectionResetError):
            await ask(end, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", trust.authority.client(alpn=("h2",)))
        assert "does not speak h2" in end.log.getvalue()
        assert end.counts.upstream_refused == 1


async def _number_of(end: RelayEnd, trust: Trust) -> str:
    """The serial number of the certificate that a new client is shown."""
    _, writer = await end.connect(trust.authority.client())
    writer.close()
    return str(writer.get_extra_info("peercert")["serialNumber"])


def _replace(identity: Identity, new: Identity) -> None:
    """As Kubernetes does: other files in place of the old ones."""
    for old, fresh in zip(identity, new, strict=True):
        fresh.rename(old)


async def test_renewed_certificates_are_shown_to_new_clients_and_old_ones_stay(
    trust: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "LOOK_SECONDS", 0.0)
    shown = Identity(tmp_path / "tls.crt", tmp_path / "tls.key")
    for source, target in zip(trust.server, shown, strict=True):
        shutil.copy(source, target)
    async with relay_running(always(answer()), tls_cert=shown.cert, tls_key=shown.key) as end:
        reader, writer = await end.connect(trust.authority.client())
        first = await _number_of(end, trust)
        assert await _number_of(end, trust) == first
        _replace(shown, trust.authority.sign("renewed", *HOSTS))
        second = await _number_of(end, trust)
        assert second != first
        shown.key.write_text("half a file")
        assert await _number_of(end, trust) == second
        assert end.log.getvalue().count("certificates renewed") == 1
        assert end.log.getvalue().count("the last good ones are") == 1
        writer.write(predict())
        assert await reader.readexactly(len(answer())) == answer()
        writer.close()


async def test_authorities_that_were_taken_away_are_trusted_no_more(
    trust: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "LOOK_SECONDS", 0.0)
    trusted = tmp_path / "ca.pem"
    shutil.copy(trust.authority.path, trusted)
    async with relay_running(always(answer()), model_tls=trust.model(), upstream_ca=trusted) as end:
        assert await end.talk([predict()]) == answer()
        shutil.copy(trust.stranger.path, trusted)
        assert b"certificate verify failed" in await end.talk([predict()], then_fin=False)


def test_files_are_looked_at_once_a_second_and_read_when_they_were_changed(trust: Trust, tmp_path: Path) -> None:
    own = tmp_path / "both.pem"
    own.write_bytes(trust.server.cert.read_bytes() + trust.server.key.read_bytes())
    clock = FakeClock()
    tls = listener_tls(Settings(tls_cert=own), Events(logs.configure("error")), clock)
    assert tls is not None
    first = tls.current()
    own.write_bytes(own.read_bytes() + b"\n")
    clock.advance(LOOK_SECONDS / 2)
    assert tls.current() is first
    clock.advance(LOOK_SECONDS / 2)
    second = tls.current()
    assert second is not first
    clock.advance(LOOK_SECONDS)
    assert tls.current() is second


def test_tls_is_at_least_1_2(trust: Trust) -> None:
    files = listener_files(Settings(tls_cert=trust.server.cert, tls_key=trust.server.key))
    assert files is not None
    assert listener_context(files, ("http/1.1",)).minimum_version >= ssl.TLSVersion.TLSv1_2


def _faults_of(**settings: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        certificates.check_certificates(Settings(**settings))
    return [str(problem) for problem in caught.value.problems]


def test_each_fault_of_a_file_is_told_with_its_setting(trust: Trust, tmp_path: Path) -> None:
    cert, key, other = trust.server.cert, trust.server.key, trust.client.key
    locked = trust.authority.sign("locked", password=b"hush")
    empty, gone = tmp_path / "empty", tmp_path / "gone"
    empty.write_text("")
    assert _faults_of(tls_cert=cert, tls_key=other) == [
        f"--tls-key: the key in {other} is not that of the certificate in {cert}"
    ]
    assert _faults_of(tls_cert=cert) == [f"--tls-cert: {cert} holds no private key in PEM"]
    assert _faults_of(tls_cert=empty, tls_key=key) == [f"--tls-cert: {empty} holds no certificate in PEM"]
    assert _faults_of(tls_cert=locked.cert, tls_key=locked.key) == [
        f"--tls-key: the key in {locked.key} is encrypted: write it without a password, readable by this user alone"
    ]
    assert _faults_of(tls_cert=gone, tls_key=gone, tls_client_ca=gone) == [
        f"{field}: {gone} cannot be read: No such file or directory"
        for field in ("--tls-cert", "--tls-key", "--tls-client-ca")
    ]
    assert _faults_of(tls_cert=cert, tls_key=key, tls_client_ca=empty) == [
        f"--tls-client-ca: {empty} holds no certificate in PEM"
    ]
