"""Addresses as people write them."""

from __future__ import annotations

import pytest

from sidecar.kit.addresses import Address, parse_address, parse_upstream


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9080", Address("127.0.0.1", 9080)),
        (":9080", Address("0.0.0.0", 9080)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:9080", Address("::1", 9080)),
        ("[::]:9080", Address("::", 9080)),
        ("[fe80::1%eth0]:9080", Address("fe80::1%eth0", 9080)),
        ("unix:/run/in.sock", Address(path="/run/in.sock")),
    ],
)
def test_an_address_is_read_and_shown_as_it_is_written(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("::1:9080", "write it in brackets"),
        ("[::1:9080", "write it in brackets"),
        ("[localhost]:9080", "is no host"),
        ("[]:9080", "is no host"),
        ("[1.2.3.4]:9080", "is no host"),
        ("http://host:9080", "is no host"),
        ("host", "is not host:port"),
    ],
)
def test_what_is_no_address_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://model", Address("model", 80)),
        ("https://model", Address("model", 443, is_tls=True)),
        ("https://model:8443/", Address("model", 8443, is_tls=True)),
        ("http://[::1]:8080", Address("::1", 8080)),
        ("https://[::1]", Address("::1", 443, is_tls=True)),
        ("unix:/run/model.sock", Address(path="/run/model.sock")),
    ],
)
def test_a_model_server_is_named_by_its_url(text: str, address: Address) -> None:
    assert parse_upstream(text) == address


def test_a_server_that_is_called_over_tls_is_shown_so() -> None:
    assert str(Address("::1", 443, is_tls=True)) == "https://[::1]:443"


@pytest.mark.parametrize("text", ["ftp://model", "https://", "https://model:99999", "http://[::1", "http://model/v1"])
def test_what_names_no_model_server_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"http://host:port|range|Invalid"):
        parse_upstream(text)
