"""What looks like an e-mail address, a card number, an IP address or a phone number in a text.

Promises to end in time: candidates are found by expressions that never go back, each is then judged, by a library where
there is one, and all that work is paid for (see `Budget`). What is found is rather too much than too little; the limits
are said at each detector. Pure.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sidecar.errors import PermanentError

Span = tuple[int, int]
MOST_PAID = 500_000
_LUHN_COSTS = 4
_GROUP_COSTS = 2
_IP_COSTS = 4
_PHONE_COSTS = 60
_CARD_DIGITS = range(13, 20)
_PHONE_DIGITS = range(7, 16)
_MOST_GROUPS = 8
"""A phone number is written in no more groups."""
_LONGEST_IP = 45
_LONGEST_LOCAL_PART = 256
_LONGEST_DOMAIN = 255
_BESIDE_LETTERS = frozenset(".!#$%'*+^_`{|}~-")
"""What the part before the @ may hold besides letters and digits; less the four that part an address on the web."""
_QUOTES = "'`*_"
"""What stands before an address rather than in it."""
_DOMAIN = re.compile(r"[^\W_][\w-]*(?:\.[^\W_][\w-]*)+")
_DIGITS = re.compile(r"[0-9]+")
_CARD = re.compile(r"[0-9]+(?:[ \xa0-][0-9]+)*")
_PHONE = re.compile(r"(?:[+(]{1,2}|(?<!\w))[0-9]+(?:[ \xa0.\-–/()]{1,3}[0-9]+)*\b")
_DATE = re.compile(r"(?:19|20)[0-9][0-9][-./][0-9][0-9][-./][0-9][0-9]\b")
_IP = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]*[:.]){2,}[0-9A-Fa-f:.]*")
_SEVEN_DIGITS = re.compile(r"[0-9](?:[^0-9]{0,3}[0-9]){6}")


class UnredactableError(PermanentError):
    """What a rule would have to read and cannot; the message names neither content nor place in it."""


class Budget:
    """What may be spent on one piece of data, about a microsecond each. Raises UnredactableError when it is spent."""

    def __init__(self) -> None:
        self._left = MOST_PAID

    def pay(self, price: int = 1) -> None:
        self._left -= price
        if self._left < 0:
            raise UnredactableError("more of it looks like something to redact than is looked at")


Detect = Callable[[str, Budget], Iterator[Span]]


class _Group(NamedTuple):
    """Digits in a row, and how many of the run's digits stand before them."""

    start: int
    end: int
    before: int


def emails(text: str, budget: Budget) -> Iterator[Span]:
    """A name, an @ and a domain with a dot, of letters and digits of any script. Not: a quoted name, an address in
    brackets, `name at example dot com`."""
    done, at = 0, text.find("@")
    while at >= 0:
        budget.pay()
        start = _start_of_name(text, max(done, at - _LONGEST_LOCAL_PART), at, budget)
        domain = _DOMAIN.match(text, at + 1, at + 1 + _LONGEST_DOMAIN) if start < at else None
        if domain:
            done = domain.end()
            yield start, done
        at = text.find("@", max(done, at + 1))


def _start_of_name(text: str, least: int, at: int, budget: Budget) -> int:
    start = at
    while start > least and (text[start - 1].isalnum() or text[start - 1] in _BESIDE_LETTERS):
        start -= 1
    budget.pay((at - start) // 8)
    while start < at and text[start] in _QUOTES:
        start += 1
    return start


def cards(text: str, budget: Budget) -> Iterator[Span]:
    """13 to 19 digits that start with 2 to 6 and pass the Luhn check, in one piece or in groups with one blank or dash
    between them. One number in ten of that length that is no card passes too."""
    for run in _CARD.finditer(text) if _SEVEN_DIGITS.search(text) else ():
        if run.end() - run.start() < _CARD_DIGITS[0]:
            continue
        groups = _groups(text, run.span(), budget)
        taken = 0
        for index, first in enumerate(groups):
            if index < taken or text[first.start] not in "23456":
                continue
            for last in range(min(len(groups), index + _CARD_DIGITS[-1]) - 1, index - 1, -1):
                if _count(first, groups[last]) in _CARD_DIGITS and _passes_luhn(
                    text[first.start : groups[last].end], budget
                ):
                    taken = last + 1
                    yield first.start, groups[last].end
                    break


def _passes_luhn(text: str, budget: Budget) -> bool:
    budget.pay(_LUHN_COSTS)
    digits = [int(each) for each in text if each.isdigit()][::-1]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def ips(text: str, budget: Budget) -> Iterator[Span]:
    """IPv4 and IPv6 addresses as the standard library reads them; a version such as `1.2.3.4` is one too. A long row of
    hexadecimal digits with colons or dots is taken whole, whatever it is."""
    for run in _IP.finditer(text):
        start, end = run.span()
        found = text[start:end]
        if end - start > _LONGEST_IP:
            budget.pay()
            yield start, end
            continue
        yield from ((start + a, start + b) for a, b in _ips_in(found, budget))


def _ips_in(run: str, budget: Budget) -> Iterator[Span]:
    """The first, longest addresses in a short run: what stands beside one may be of the same characters."""
    for start in range(len(run)):
        if start and run[start - 1] not in ":.":
            continue
        for end in range(len(run), start + 1, -1):
            if end < len(run) and run[end] not in ":.":
                continue
            if _is_ip(run[start:end], budget):
                yield start, end
                yield from ((end + a, end + b) for a, b in _ips_in(run[end:], budget))
                return


def _is_ip(text: str, budget: Budget) -> bool:
    budget.pay(_IP_COSTS)
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(map(str.isdecimal, text))  # `d::` in a program is an address too


def phones(regions: Sequence[str]) -> Detect:
    """Phone numbers: with `+` or `00` and the country's code, or as written inside one of `regions` (ISO 3166).

    A `+` with 7 to 15 digits is always taken; any other has to be a number that the region's plan has given out
    (`phonenumbers`), which about every tenth number of that length is. A date is none.
    """

    known_regions()

    def find(text: str, budget: Budget) -> Iterator[Span]:
        for run in _PHONE.finditer(text) if _SEVEN_DIGITS.search(text) else ():
            if run.end() - run.start() >= _PHONE_DIGITS[0]:
                yield from _phones_in(text, run.span(), regions, budget)

    return find


def _phones_in(text: str, run: Span, regions: Sequence[str], budget: Budget) -> Iterator[Span]:
    groups = _groups(text, run, budget)
    taken = 0
    for index, first in enumerate(groups):
        if index < taken or _DATE.match(text, first.start):
            continue
        opens = _opening(text, groups[index - 1].end if index else run[0], first.start)
        count = _length_of_phone(text, opens, groups[index : index + _MOST_GROUPS], regions, budget)
        if count:
            taken = index + count
            yield opens, groups[taken - 1].end


def _length_of_phone(text: str, opens: int, groups: Sequence[_Group], regions: Sequence[str], budget: Budget) -> int:
    """How many of `groups` are one number, 0 for none; the longest that is valid, or that a `+` says to be one."""
    possible = [n for n in range(len(groups), 0, -1) if _count(groups[0], groups[n - 1]) in _PHONE_DIGITS]
    for count in possible:
        if _is_phone(text[opens : groups[count - 1].end], regions, budget):
            return count
    return possible[0] if possible and "+" in text[opens : groups[0].start] else 0


def _opening(text: str, start: int, first: int) -> int:
    """Where a number starts whose first digit is at `first`: with its `+` or `(`, no earlier than `start`."""
    before = text[start:first]
    found = max(before.rfind("+"), before.rfind("("))
    return first if found < 0 else start + found


def _is_phone(written: str, regions: Sequence[str], budget: Budget) -> bool:
    import phonenumbers  # what nobody looks for costs no memory

    number = "+" + written[2:] if written.startswith("00") else written
    is_international = number.startswith("+")
    for region in (None,) if is_international else regions:
        budget.pay(_PHONE_COSTS)
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(number, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


def _groups(text: str, run: Span, budget: Budget) -> list[_Group]:
    groups = []
    before = 0
    for found in _DIGITS.finditer(text, *run):
        budget.pay(_GROUP_COSTS)
        groups.append(_Group(*found.span(), before))
        before += found.end() - found.start()
    return groups


def _count(first: _Group, last: _Group) -> int:
    return last.before - first.before + last.end - last.start


@functools.cache
def known_regions() -> frozenset[str]:
    """The regions whose numbers are known, by ISO 3166. Loads what knows them."""
    import phonenumbers  # as above

    return frozenset(phonenumbers.SUPPORTED_REGIONS)
