"""HTTPS to public addresses only: whatever a name resolves to, and wherever a redirect leads."""

import ipaddress
import socket
from functools import cache
from typing import Any

from cvdata.errors import ErrorCode, ImageError


@cache
def public_https() -> Any:
    """The fsspec filesystem whose connections all go to public addresses."""
    from fsspec.implementations.http import HTTPFileSystem  # only where https was asked for

    class PublicHttps(HTTPFileSystem):  # type: ignore[misc]
        """Says what went wrong, where fsspec calls every failed question `FileNotFoundError`."""

        async def _info(self, url: str, **kwargs: Any) -> Any:
            try:
                return await super()._info(url, **kwargs)
            except ValueError as error:
                raise ImageError(ErrorCode.PATH_DENIED, f"not a URL: {error}") from error
            except FileNotFoundError as error:
                cause = error.__cause__
                if cause is None or getattr(cause, "status", None) in _ABSENT:
                    raise
                if isinstance(cause, ValueError):
                    raise ImageError(ErrorCode.PATH_DENIED, f"not a URL: {cause}") from error
                raise cause from None

    return PublicHttps(get_client=_client, use_listings_cache=False)


_ABSENT = (404, 410)


def check_address(text: str) -> None:
    """Raise `path_denied` where an IP address is private, loopback, link-local or reserved."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    is_site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    if not address.is_global or address.is_multicast or is_site_local:
        raise ImageError(ErrorCode.PATH_DENIED, f"{text} is not a public address")


async def _client(**options: Any) -> Any:
    """A session that checks every connection, those after a redirect too.

    The check is made on the address that is connected to, so a name cannot resolve to one address
    when it is checked and to another when it is used. Proxies of the environment are not used.
    """
    import aiohttp  # only where https was asked for
    from aiohttp.resolver import ThreadedResolver

    class PublicResolver(ThreadedResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> Any:
            found = await super().resolve(host, port, family)
            for one in found:
                check_address(one["host"])
            return found

    class PublicConnector(aiohttp.TCPConnector):
        async def connect(self, req: Any, *args: Any, **kwargs: Any) -> Any:
            if req.url.scheme != "https":
                raise ImageError(ErrorCode.PATH_DENIED, f"a redirect to {req.url.scheme}")
            if _is_address(req.url.host or ""):
                check_address(req.url.host)
            return await super().connect(req, *args, **kwargs)

    return aiohttp.ClientSession(connector=PublicConnector(resolver=PublicResolver()), **options)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
