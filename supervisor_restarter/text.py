"""How messages show what a caller sent."""

from typing import Any

_KINDS = {bool: 'boolean', int: 'int', float: 'double', str: 'string', list: 'array',
          dict: 'struct', type(None): 'nil'}


def shown(value: str, longest: int = 100) -> str:
    """Return text that a caller sent in a form that fits a message, and any XML parser."""
    text = _printable(value)
    return text if len(text) <= longest else text[:longest - 3] + '...'


def shown_ends(value: str, longest: int) -> str:
    """Return the same of text that has its reason at its begin or at its end."""
    text = _printable(value)
    half = (longest - 3) // 2
    return text if len(text) <= longest else text[:half] + '...' + text[-half:]


def _printable(value: str) -> str:
    return value if value and value.isprintable() else ascii(value)


def kind(value: Any) -> str:
    """Return what XML-RPC calls the type of a value."""
    return _KINDS.get(type(value), type(value).__name__)
