"""Words of tag and attribute names: division, abbreviations of the field, likeness.

Belongs here: what a name says by its spelling alone. Does not belong here: attributes, scores.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from rapidfuzz import fuzz, process

MAX_NAME: Final = 255
MAX_WORDS: Final = 16

# What a word counts for: an axis letter or a number less than a word, a word that says little least.
_WORD, _INDEX, _GENERIC = 10, 7, 4

_LONGEST_GLUED: Final = 40
_ABBREVIATIONS: Final = {
    entry.split()[0]: tuple(entry.split()[1:])
    for entry in """
    abs absolute position, acc acceleration, accel acceleration, act actual, alm alarm, alt altitude, amb ambient,
    amp current, amps current, ang angle, avail availability, avg average, ax axis, bat battery, batt battery,
    cfg configuration, chg change, cmd commanded, cmt comment, cnt count, comm communication, comms communication,
    communications communication, cond condition, conf configuration, conv conveyor, ctl control, ctr count,
    ctrl control, cur current, curr current, cyc cycle, deg angle degree, desc description, diff difference,
    dir direction, disp displacement, dist distance, dur duration, elec electric, eng engine, err error,
    estop emergency stop, exec execution, fbk feedback, fdrt feed rate, feedrate feed rate, flt fault, flw flow,
    freq frequency, frt feed rate, func function, hum humidity, hyd hydraulic, hydra hydraulic, idx index,
    kmh velocity, lat latitude, len length, lim limit, lin linear, lng longitude, lon longitude, lub lubrication,
    lvl level, mach machine, max maximum, meas measured, min minimum, mph velocity, msg message, mtr motor,
    nbr number, no number, num number, odo odometer, ovr override, ovrd override, param parameter, pct percent,
    pneu pneumatic, pos position, pow power, pres pressure, prg program, prog program, prs pressure,
    pv actual, pwr power, qty quantity, req requested, rot rotary, rpm rotary velocity rpm, runtime run time,
    sec seconds, secs seconds, seq sequence, sn serial number, sp setpoint, spd velocity, spdl spindle,
    speed velocity, spndl spindle, stat status, state status, sts status, subprog sub program,
    subprogram sub program, sys system, temp temperature, tmp temperature, tot total, trq torque, ts timestamp,
    vel velocity, vib vibration, vlv valve, vol volume, volt voltage, wt weight
    """.split(",")  # noqa: SIM905 - a table is easier to read than a page of quotes
}
# Words that are found inside of others, as in "Xload" or "oiltemp".
_VOCABULARY: Final = frozenset(_ABBREVIATIONS).union(
    """
    absolute acceleration actual actuator air alarm ambient angle asset auto availability axis axes battery block
    brake cabinet chuck clamp code color command comment communication component condition control controller
    coolant count counter current cut cutting cycle date degree diameter direction distance door drive duration
    electric emergency energy engine error execution fan fault feed feedback filter flow force frequency fuel gas
    gear group head heat heater height home humidity hydraulic input inlet jog label length level light limit line
    linear load lock logic lube lubrication machine mass material message mode moisture motion motor name number
    offset oil order outlet output over override pallet part path percent phase piece pneumatic position power
    pressure
    program programmed pump quality quantity radius rapid rate ratio reset revision robot rotary run scrap sensor
    sequence serial servo setpoint shift signal spindle start status stop sub suffix supply switch system table tank
    target temperature tension thickness time tool torque total travel type under unit usage user valve velocity
    vibration voltage volume wait water weight width wire work
    """.split()  # noqa: SIM905 - as above
)
_SAY_LITTLE: Final = frozenset(
    {
        "actual",
        "current",
        "data",
        "event",
        "item",
        "mtconnect",
        "of",
        "sample",
        "sensor",
        "signal",
        "tag",
        "the",
        "value",
    }
)
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PIECE: Final = re.compile(r"[^\W\d_]+|\d+")


@lru_cache(maxsize=200_000)
def words_of(name: str) -> tuple[str, ...]:
    """The words of a name, in small letters without accents, abbreviations of the field written out.

    Camel case, digits and separators divide words; so do known words that are written as one, with a letter before
    them if need be. Only the first `MAX_NAME` characters and `MAX_WORDS` words are read.

    >>> words_of("Xabs"), words_of("S2temp"), words_of("EStop_State")
    (('x', 'absolute', 'position'), ('s', '2', 'temperature'), ('emergency', 'stop', 'status'))
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", name[:MAX_NAME]) if not unicodedata.combining(c))
    words: list[str] = []
    initial = ""
    for piece in _PIECE.findall(_CAMEL.sub(" ", plain).casefold()):
        if initial and initial + piece in _ABBREVIATIONS:
            words[-1:] = _ABBREVIATIONS[initial + piece]
        elif piece.isdecimal():
            words.append(piece.lstrip("0") or "0")
        else:
            words += _written_out(piece)
        initial = piece if len(piece) == 1 else ""
    return tuple(words[:MAX_WORDS])


def _written_out(piece: str) -> list[str]:
    """The words that a run of letters stands for."""
    parts = _parts(piece) if len(piece) <= _LONGEST_GLUED else None
    if parts is None and 3 < len(piece) <= _LONGEST_GLUED:
        rest = _parts(piece[1:])
        parts = None if rest is None else (piece[0], *rest)
    return [word for part in parts or (piece,) for word in _ABBREVIATIONS.get(part, (part,))]


@lru_cache(maxsize=200_000)
def _parts(piece: str) -> tuple[str, ...] | None:
    """A run of letters as known words of three letters or more, the longest first; None if it is no such thing."""
    if piece in _VOCABULARY:
        return (piece,)
    for length in range(len(piece) - 3, 2, -1):
        if piece[:length] in _VOCABULARY:
            rest = _parts(piece[length:])
            if rest is not None:
                return (piece[:length], *rest)
    return None


def weight(word: str) -> int:
    """How much a word counts: 10, less for an axis letter or a number, least where it says little."""
    if len(word) == 1 or word.isdecimal():
        return _INDEX
    return _GENERIC if word in _SAY_LITTLE else _WORD


def is_index(word: str) -> bool:
    """Whether a word is an axis letter or a number, which tell like things apart."""
    return weight(word) == _INDEX


def shape(words: Iterable[str]) -> str:
    """Words with ``#`` for axis letters and numbers: what ``Xload`` and ``S2load`` have in common, and not ``load``.

    Empty where there are no other words.
    """
    marked = ["#" if is_index(word) else word for word in words]
    kept = [word for i, word in enumerate(marked) if word != "#" or marked[i - 1 : i] != ["#"]]
    return " ".join(kept) if any(word != "#" for word in kept) else ""


def without_prefix(words: tuple[str, ...], prefix: tuple[str, ...]) -> tuple[str, ...]:
    """Words without those that they begin with, as names of tags begin with the name of a machine."""
    return words[len(prefix) :] if words[: len(prefix)] == prefix else words


def runs(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """All runs of up to four neighbouring words, but for single letters and numbers."""
    for start in range(len(words)):
        for end in range(start + 1, min(start + 4, len(words)) + 1):
            if end - start > 1 or not is_index(words[start]):
                yield words[start:end]


def likenesses(asked: Iterable[str], known: Iterable[str]) -> Iterator[tuple[str, str, int]]:
    """Which asked words resemble which known words, and how much, 1 to 100.

    Words that are spelled alike (share of equal letters in order, at least 80), of which one begins with the other
    (85), or of which one is the other's initial (40).
    """
    ordered = sorted(set(known))
    whole = frozenset(ordered)
    spelled = [word for word in ordered if len(word) > 3 and not word.isdecimal()]
    for word in sorted(set(asked)):
        found: dict[str, int] = {}
        if not word.isdecimal():
            found = _continuations(word, ordered) | _beginnings(word, whole)
        if len(word) > 3 and not word.isdecimal():
            for other, ratio, _ in process.extract(word, spelled, scorer=fuzz.ratio, score_cutoff=80, limit=None):
                found[other] = max(int(ratio), found.get(other, 0))
        if word in whole:
            found[word] = 100
        for other, likeness in found.items():
            yield word, other, likeness


def _continuations(word: str, ordered: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    if len(word) != 2:
        i = bisect_left(ordered, word)
        while i < len(ordered) and ordered[i].startswith(word):
            found[ordered[i]] = 40 if len(word) == 1 else 85
            i += 1
    return found


def _beginnings(word: str, whole: frozenset[str]) -> dict[str, int]:
    lengths = (1, *range(3, len(word)))
    return {word[:n]: 40 if n == 1 else 85 for n in lengths if n < len(word) and word[:n] in whole}
