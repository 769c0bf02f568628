"""HTTPS: only where asked, and only to public addresses."""

import pytest

from cvdata.errors import ConfigError, ErrorCode, ImageError
from cvdata.sources import Fetcher, open_source
from cvdata.sources.fetch import Want
from cvdata.sources.https import check_address
from cvdata.sources.uris import SCHEMES

from .trees import QUICK


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",  # noqa: S104
     "100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "fe80::1", "fd00::1", "::",
     "::ffff:127.0.0.1", "::ffff:169.254.169.254", "ff02::1", "fec0::1"],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    with pytest.raises(ImageError, match="not a public address"):
        check_address(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:2800:220:1::1"])
def test_public_addresses(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "localhost", "169.254.169.254", "0x7f.1", "2130706433"]
)
def test_no_connection_is_made_to_them(host: str) -> None:
    fetcher = Fetcher(max_bytes=10, retries=QUICK, schemes=SCHEMES | {"https"})
    with pytest.raises(ImageError) as caught:
        fetcher.read(Want(f"https://{host}:1/x.jpg", None, None, ""))
    assert caught.value.code is ErrorCode.PATH_DENIED


def test_it_has_to_be_asked_for() -> None:
    with pytest.raises(ConfigError, match="has to be asked for"):
        open_source("https://example.com/x.jpg")
    with pytest.raises(ImageError, match="'https' is not allowed"):
        Fetcher(max_bytes=10).read(Want("https://example.com/x.jpg", None, None, ""))
