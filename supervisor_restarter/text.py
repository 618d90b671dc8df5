"""How messages show what a caller sent."""

from typing import Any

_KINDS = {bool: 'boolean', int: 'int', float: 'double', str: 'string', list: 'array',
          dict: 'struct', type(None): 'nil'}


def shown(value: str, longest: int = 100) -> str:
    """Return text that a caller sent in a form that fits a message, and any XML parser."""
    text = value if value and value.isprintable() else ascii(value)
    return text if len(text) <= longest else text[:longest - 3] + '...'


def kind(value: Any) -> str:
    """Return what XML-RPC calls the type of a value."""
    return _KINDS.get(type(value), type(value).__name__)
