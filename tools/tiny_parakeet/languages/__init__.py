"""The restricted languages that tiny models are taught, by BCP 47 tag."""

from collections.abc import Mapping
from types import MappingProxyType

from tools.tiny_parakeet.languages.english import ENGLISH
from tools.tiny_parakeet.languages.german import GERMAN
from tools.tiny_parakeet.languages.grammar import Grammar

LANGUAGES: Mapping[str, Grammar] = MappingProxyType({grammar.tag: grammar for grammar in (ENGLISH, GERMAN)})
