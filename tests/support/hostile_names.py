"""Names that Cloud Storage allows and that addresses, paths and parsers stumble over."""

HOSTILE_NAMES = (
    "with space and +plus",
    "/leading",
    "trailing/",
    "two//slashes///three",
    "../../etc/passwd",
    "a/../b/./c",
    "...",
    "100%",
    "%2F%2e%2e%00",
    "question?alt=json&generation=1",
    "hash#fragment",
    "semi;colon=and'quote\"back\\slash",
    "tab\tand\x01control",
    "ünïcödé/日本語/𝄞.mp3",
    "e\u0301 is not é",
    "o/compose",
    "rewriteTo/b/x/o/y",
    "x" * 1024,
    "é" * 512,
)
