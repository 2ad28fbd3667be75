"""MusicXML 3.1's schema, with local copies of what it imports by address: nothing is fetched."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from lxml import etree

_IMPORTED: Final = {"xml.xsd": ("XML", "xml.xsd"), "xlink.xsd": ("XLINK", "xlink.xsd")}


class _Copies(etree.Resolver):  # type: ignore[misc] # lxml ships no types
    """The two schemas of the W3C, as another package carries them."""

    def resolve(self, system_url: str, public_id: str, context: Any) -> Any:
        name = system_url.rpartition("/")[2]
        if name not in _IMPORTED:
            raise OSError(f"nothing is fetched, and {system_url} is not here")
        return self.resolve_string(_carried("xmlschema", "schemas", *_IMPORTED[name]), context, base_url=system_url)


def _carried(package: str, *path: str) -> bytes:
    """A file of a package that need not be imported."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent.joinpath(*path).read_bytes()


@cache
def schema() -> Any:
    """The schema, read once."""
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(_Copies())
    return etree.XMLSchema(etree.fromstring(_carried("partitura", "assets", "musicxml.xsd"), parser))


def faults(musicxml: bytes) -> list[str]:
    """What of a file is not MusicXML 3.1."""
    parser = etree.XMLParser(no_network=True, load_dtd=False, resolve_entities=False)
    schema().validate(etree.fromstring(musicxml, parser))
    return [f"line {each.line}: {each.message}" for each in schema().error_log]
