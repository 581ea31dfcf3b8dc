"""`python -m tools.terraform_schema LIB`: infra/terraform_offline/google.json, the schemas of what terraform/ uses.

LIB is the `lib` folder of npm's `@cdktf/provider-google` (`npm pack @cdktf/provider-google@16.12.1`), which is made
from the schema of provider 6.50.0; only that schema's facts are read out of it. The file has the shape of
`terraform providers schema -json`, so that one can take its place wherever the registry is in reach. The package does
not say which optional attributes the provider computes when they are left out: all are taken for such.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.terraform_offline.provider import SCHEMA, SOURCE

TERRAFORM = Path(__file__).parents[2] / "terraform"

_USED = re.compile(r'^(resource|data) "(google_\w+)"', re.MULTILINE)
_CLASS = re.compile(r"^class (\w+) extends (cdktf\.\w+)", re.MULTILINE)
_TO_HCL = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
_SYNTHESIS = re.compile(r"synthesizeHclAttributes\(\) \{(.*?)^    \}", re.MULTILINE | re.DOTALL)
_MEMBER = re.compile(r'^\s+(\w+): \{\s*value: .*?isBlock: (\w+),\s*type: "(\w+)"', re.MULTILINE | re.DOTALL)
_GETTER = re.compile(r"^    get (\w+)\(\) \{\s*(.*?)\s*\n    \}", re.MULTILINE | re.DOTALL)
_CHILD = re.compile(r'this\.(_\w+) = new ([\w.]+)\(this, "(\w+)"(?:, (true|false))?\)')
_READ = re.compile(r"this\.(get\w+Attribute|interpolationForAttribute)\('(\w+)'\)")

_TYPES: Mapping[str, Any] = {
    "getStringAttribute": "string",
    "getNumberAttribute": "number",
    "getBooleanAttribute": "bool",
    "getListAttribute": ["list", "string"],
    "getNumberListAttribute": ["list", "number"],
    "getStringMapAttribute": ["map", "string"],
    "cdktf.StringMap": ["map", "string"],
}


@dataclass(frozen=True)
class Module:
    """One resource's JavaScript: its classes by name, and what its structs say of their members."""

    bases: Mapping[str, str]
    bodies: Mapping[str, str]
    blocks: Mapping[str, Mapping[str, str]]
    """Struct in lower case -> its members that are blocks -> `struct`, `list` or `set`."""

    @classmethod
    def read(cls, path: Path) -> Module:
        """The module at `path`."""
        text = path.read_text()
        found = list(_CLASS.finditer(text))
        ends = [following.start() for following in found[1:]] + [len(text)]
        return cls(
            bases={match[1]: match[2] for match in found},
            bodies={match[1]: text[match.start() : end] for match, end in zip(found, ends, strict=True)},
            blocks={match[1].lower(): _blocks(match[2]) for match in _TO_HCL.finditer(text)},
        )

    def schema(self) -> dict[str, Any]:
        """The resource's schema."""
        kinds = ("cdktf.TerraformResource", "cdktf.TerraformDataSource", "cdktf.TerraformProvider")
        main = next(self.bodies[name] for name, base in self.bases.items() if base in kinds)
        synthesis = _SYNTHESIS.search(main)
        return {"version": 0, "block": self._block(main, _blocks(synthesis[1] if synthesis else ""))}

    def _block(self, body: str, blocks: Mapping[str, str]) -> dict[str, Any]:
        children = {match[1]: match for match in _CHILD.finditer(body)}
        block: dict[str, Any] = {"attributes": {}, "block_types": {}}
        for name, expression in _getters(body):
            field = re.search(r"return this\.(_\w+);", expression)
            child = children.get(field[1]) if field else None
            read = _READ.search(expression)
            key = child[3] if child else read[2] if read else _snake(name)
            settable = f"    set {name}(" in body or f"    put{name[0].upper()}{name[1:]}(" in body
            required = settable and f"    reset{name[0].upper()}{name[1:]}(" not in body
            if child and key in blocks:
                block["block_types"][key] = self._nested(child, blocks[key], required)
                continue
            usage = {"required": True} if required else {"optional": True, "computed": True}
            kind = self._type(child, read, expression)
            block["attributes"][key] = {"type": kind, **(usage if settable else {"computed": True})}
        return block

    def _nested(self, child: re.Match[str], kind: str, required: bool) -> dict[str, Any]:
        struct = re.sub("(OutputReference|List)$", "", child[2])
        nesting = "single" if kind == "struct" else "set" if child[4] == "true" else "list"
        nested: dict[str, Any] = {"nesting_mode": nesting, "block": self._struct(struct)}
        if required:
            nested["min_items"] = 1
        if child[2].endswith("OutputReference") and kind != "struct":
            nested["max_items"] = 1
        return nested

    def _struct(self, struct: str) -> dict[str, Any]:
        body = self.bodies.get(f"{struct}OutputReference", "")
        return self._block(body, self.blocks.get(struct.lower(), {}))

    def _type(self, child: re.Match[str] | None, read: re.Match[str] | None, expression: str) -> Any:
        if child is not None:
            if child[2].startswith("cdktf."):
                return _TYPES.get(child[2], "dynamic")
            inner = self._struct(re.sub("(OutputReference|List)$", "", child[2]))
            return ["set" if child[4] == "true" else "list", _object(inner)]
        kind = _TYPES.get(read[1], "dynamic") if read else "dynamic"
        return ["set", kind[1]] if "tolist" in expression and isinstance(kind, list) else kind


def _object(block: Mapping[str, Any]) -> list[Any]:
    nested = {
        name: ["set" if one["nesting_mode"] == "set" else "list", _object(one["block"])]
        for name, one in block["block_types"].items()
    }
    return ["object", {name: one["type"] for name, one in block["attributes"].items()} | nested]


def _getters(body: str) -> Iterator[tuple[str, str]]:
    for match in _GETTER.finditer(body):
        is_input = match[1].endswith("Input") and "return this._" in match[2]
        if match[1] not in ("internalValue", "fqn") and not is_input:
            yield match[1], match[2]


def _blocks(text: str) -> dict[str, str]:
    return {match[1]: match[3] for match in _MEMBER.finditer(text) if match[2] == "true"}


def _snake(name: str) -> str:
    return re.sub("([A-Z])", lambda match: f"_{match[1].lower()}", name)


def _used() -> set[tuple[str, str]]:
    text = "\n".join(path.read_text() for path in TERRAFORM.rglob("*.tf"))
    return {(match[1], match[2]) for match in _USED.finditer(text)}


def main(lib: Path) -> None:
    """Write google.json."""
    schemas: dict[str, dict[str, Any]] = {"resource": {}, "data": {}}
    for kind, name in sorted(_used()):
        folder = ("data-google-" if kind == "data" else "") + name.removeprefix("google_").replace("_", "-")
        schemas[kind][name] = Module.read(lib / folder / "index.js").schema()
    google = {
        "provider": Module.read(lib / "provider" / "index.js").schema(),
        "resource_schemas": schemas["resource"],
        "data_source_schemas": schemas["data"],
    }
    SCHEMA.write_text(_rendered(google))


def _rendered(google: Mapping[str, Any]) -> str:
    """The document with one resource a line, for people who read what changed."""
    parts = [f'"provider": {_line(google["provider"])}']
    for kind in ("resource_schemas", "data_source_schemas"):
        lines = ",\n".join(f'"{name}": {_line(schema)}' for name, schema in google[kind].items())
        parts.append(f'"{kind}": {{\n{lines}\n}}')
    body = ",\n".join(parts)
    return f'{{"format_version": "1.0", "provider_schemas": {{"{SOURCE}": {{\n{body}\n}}}}}}\n'


def _line(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, sort_keys=True, separators=(",", ":"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
