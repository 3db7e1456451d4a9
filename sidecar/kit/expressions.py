"""Regular expressions that people write, in RE2's syntax: their time is linear in the text, whatever is captured.

The library is imported with the first expression: most engines have none, and it counts in their memory at rest.
"""

from __future__ import annotations

from typing import Any, Protocol


class Expression(Protocol):
    """A compiled expression: what of `re`'s own interface is used."""

    def search(self, text: str) -> Any: ...  # noqa: ANN401 - a match of the library's own

    def fullmatch(self, text: str) -> Any: ...  # noqa: ANN401 - likewise

    def finditer(self, text: str) -> Any: ...  # noqa: ANN401 - likewise


def compiled(expression: str) -> Expression:
    """Compile. Raises ValueError that says what is wrong with it."""
    import re2

    options = re2.Options()
    options.log_errors = False  # faults are raised and told once, not written to standard error as well
    try:
        found: Expression = re2.compile(expression, options)
    except re2.error as error:
        said = error.args[0]
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise ValueError(f"is no RE2 expression: {text}") from error
    return found
