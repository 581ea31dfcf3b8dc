"""Which addresses and which URLs are public, by the registries and by what attackers write."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from shared.public_http.addresses import is_public
from shared.public_http.errors import UrlRefused
from shared.public_http.urls import MAX_URL_CHARACTERS, UrlRules, parse_url, redirected


def full_width(text: str) -> str:
    """The same digits and dots in the width of Chinese characters, which browsers read as ASCII."""
    return "".join(chr(ord(each) - ord("!") + 0xFF01) for each in text)


PUBLIC = [
    *("8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"),
    "64:ff9b::808:808",  # 8.8.8.8 behind NAT64
    "::ffff:8.8.8.8",
    "2002:808:808::1",  # 8.8.8.8 by 6to4
]
NOT_PUBLIC = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254"),
    *(
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
    ),
    *("198.18.0.1", "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "2606:4700::1%eth0", "fc00::1", "fd20:ce::254", "fec0::1", "ff02::1"),
    *("::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1"),
    "64:ff9b::a9fe:a9fe",  # 169.254.169.254 behind NAT64
    "64:ff9b:1::808:808",  # a private network's NAT64, wherever that leads
    *("2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:0a00:0001::"),  # 6to4 to 127.0.0.1, 169.254.169.254, 10.0.0.1
    "2001:0:808:808::8000:fffe",  # Teredo of 127.255.0.1
    "2001:0:7f00:1::f7f7:f7f7",  # Teredo by the server 127.0.0.1
    "2606:4700::5efe:a00:1",  # ISATAP to 10.0.0.1
    "2606:4700::200:5efe:7f00:1",
    *("2001:db8::1", "3fff::1", "100::1", "5f00::1", "4000::1"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_what_the_internet_reaches_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_nothing_else_is_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("https://media.example.com/a.mp3?sig=a%2Fb&x=1#part", "media.example.com", "/a.mp3?sig=a%2Fb&x=1"),
        ("HTTPS://Media.Example.COM.:443", "media.example.com", "/"),
        ("https://bücher.example/ä b".replace(" ", "%20"), "xn--bcher-kva.example", "/%C3%A4%20b"),
        ("https://faß.example/", "xn--fa-hia.example", "/"),
        ("https://8.8.8.8/a", "8.8.8.8", "/a"),
        (f"https://{full_width('8.8.8.8')}/a", "8.8.8.8", "/a"),  # as browsers read it
        ("https://[2606:4700:4700:0::1111]/a", "2606:4700:4700::1111", "/a"),
        ("https://a_b.example/x?y", "a_b.example", "/x?y"),
    ],
)
def test_a_url_is_read_in_one_way(url: str, host: str, target: str) -> None:
    parsed = parse_url(url, UrlRules())
    assert (parsed.host, parsed.port, parsed.target) == (host, 443, target)
    assert parse_url(str(parsed), UrlRules()) == parsed


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://a.example/x", "begin with https://"),
        ("ftp://a.example/x", "begin with https://"),
        ("file:///etc/passwd", "begin with https://"),
        ("gopher://a.example/x", "begin with https://"),
        ("//a.example/x", "begin with https://"),
        ("a.example/x", "begin with https://"),
        ("", "begin with https://"),
        ("https://", "names no host"),
        ("https:///x", "names no host"),
        ("https://me@a.example/", "user name"),
        ("https://me:secret@a.example/", "user name"),
        ("https://a.example@127.0.0.1/", "user name"),
        ("https://a.example%40127.0.0.1/", "a number"),
        ("https://a.example:443@127.0.0.1/", "user name"),
        ("https://@127.0.0.1/", "user name"),
        ("https://a.example\\@127.0.0.1/", "backslash"),
        ("https://a.example\\.evil.example/", "backslash"),
        ("https://a.example/x y", "space"),
        (" https://a.example/", "space"),
        ("https://a.example/\r\nX-Header: 1", "control"),
        ("https://a.exa\tmple/", "control"),
        ("https://a.example/\udcff", "control"),
        ("https://a.example:22/", "port is 22"),
        ("https://a.example:80/", "port is 80"),
        ("https://a.example:0/", "port is 0"),
        ("https://a.example:99999/", "cannot be read"),
        (f"https://a.example:{full_width('443')}x/", "cannot be read"),
        ("https://2130706433/", "a number"),
        ("https://0x7f000001/", "a number"),
        ("https://0x7f.0.0.1/", "a number"),
        ("https://0177.0.0.1/", "a number"),
        ("https://127.1/", "a number"),
        ("https://127.0.0.01/", "a number"),
        ("https://1.2.3.4.5/", "a number"),
        ("https://256.1.1.1/", "a number"),
        ("https://a.0x7f/", "a number"),
        (f"https://{full_width('2130706433')}/", "a number"),
        ("https://localhost/", "has no dot"),
        ("https://localhost./", "has no dot"),
        ("https://ⓛocalhost/", "has no dot"),
        ("https://metadata/computeMetadata/v1/", "has no dot"),
        ("https://[fe80::1%25eth0]/", "without a zone"),
        ("https://[::1%lo]/", "without a zone"),
        ("https://[8.8.8.8]/", "IPv6|cannot be read"),
        ("https://[::1]@a.example/", "user name"),
        ("https://[::1].a.example/", "IPv6|cannot be read"),
        ("https://[v1.a]/", "IPv6|cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("https://a..example/", "no name of a host"),
        ("https://-a.example/", "no name of a host"),
        ("https://a.example..​/", "no name of a host"),
        (f"https://{'a' * 64}.example/", "no name of a host"),
        (f"https://{'a.' * 130}example/", "no name of a host"),
        ("https://a$b.example/", "no name of a host"),
        ("https://a.example;b.example/", "no name of a host"),
        ("https://a.ex℀mple/", "cannot be read|no name of a host"),
        (f"https://a.example/{'x' * MAX_URL_CHARACTERS}", "characters"),
    ],
)
def test_what_readers_disagree_about_is_refused(url: str, why: str) -> None:
    with pytest.raises(UrlRefused, match=why):
        parse_url(url, UrlRules())


def test_a_relative_redirect_stays_and_an_absolute_one_is_a_url_like_any_other() -> None:
    first = parse_url("https://a.example/x/y?z", UrlRules())
    assert str(redirected(first, "../w?q", UrlRules())) == "https://a.example/w?q"
    assert str(redirected(first, "//b.example/w", UrlRules())) == "https://b.example/w"
    for elsewhere in (
        "http://a.example/",
        "https://me@b.example/",
        "https://127.1/",
        "file:///etc/passwd",
        "https://[x",
    ):
        with pytest.raises(UrlRefused, match="redirects"):
            redirected(first, elsewhere, UrlRules())


def test_a_query_is_not_shown() -> None:
    assert parse_url("https://a.example/x?signature=secret", UrlRules()).without_query == "https://a.example/x"
