"""What can happen to somebody's things: verbs in three meanings, and the sentences they stand in.

A verb is what a policy has to know; a phrasing is a verb in one of its sentences. Verbs are dealt out by a seed to
those that a warm-up teaches, those that training practices and those that only a test uses.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Literal

Meaning = Literal["more", "fewer", "same"]
Part = Literal["taught", "seen", "unseen"]

MEANINGS: tuple[Meaning, ...] = ("more", "fewer", "same")
PARTS: tuple[Part, ...] = ("taught", "seen", "unseen")

_MORE = """buys; finds; wins; receives; picks up; collects; earns; borrows; gathers; inherits; orders; is given;
gets; acquires; obtains; brings home; carries in; fetches; takes in; digs up; fishes out; gains; purchases; unpacks;
discovers; accepts; adds; stocks up on; saves up; scoops up; rescues; recovers; wins back; buys back; gets back; is
sent; is handed; is lent; is paid; hauls in; rakes in; snatches up; tracks down; comes across; comes into; pockets;
grabs; secures; scores; claims; imports; salvages; harvests; unearths; is awarded; takes home; brings back; walks off
with; procures; amasses; scrapes together; rounds up; hunts down; is left"""
_FEWER = """gives away; loses; sells; throws away; breaks; lends out; donates; spends; hands over; mails off; returns;
trades away; discards; burns; destroys; wastes; misplaces; ships off; ruins; gives back; hands out; passes on; leaves
behind; lets go of; parts with; gets rid of; tosses out; uses up; forfeits; surrenders; sacrifices; pawns; auctions
off; exports; crushes; smashes; tears up; shreds; melts down; sinks; dumps; abandons; is robbed of; scatters;
delivers; distributes; gambles away; squanders; recycles; sends back; swaps out; wrecks; spoils; cedes; relinquishes;
turns in; hands back; throws out; leaves on the bus; flings away; is cheated out of; forgets somewhere; drops
overboard; bets away"""
_SAME = """looks at; counts; paints; cleans; dreams of; sorts; washes; admires; polishes; weighs; photographs;
labels; describes; measures; dusts; draws; names; praises; stacks; arranges; inspects; compares; studies; examines;
talks about; thinks about; remembers; points at; shows off; touches; shakes; turns over; lines up; wraps; covers;
decorates; colors; marks; numbers; lists; checks; repairs; mends; warms; dries; sniffs at; stares at; sings to; writes
about; worries about; jokes about; films; sketches; moves; hides; holds up; balances; spins; tidies; groups; ranks;
taps; rubs; scans"""


def _verbs(text: str) -> tuple[str, ...]:
    return tuple(" ".join(verb.split()) for verb in text.split(";"))


VERBS: Mapping[Meaning, tuple[str, ...]] = {"more": _verbs(_MORE), "fewer": _verbs(_FEWER), "same": _verbs(_SAME)}
"""Meaning -> its 64 verbs; together with the sentences below 576 phrasings to practice and 576 others to test."""

MEANING_OF: Mapping[str, Meaning] = {verb: meaning for meaning, verbs in VERBS.items() for verb in verbs}

# The plain sentence, which every meaning has, comes twice: what the words around a verb give away must not suffice.
_PLAIN = "{verb} {n} {things}"
SENTENCES: Mapping[str, Mapping[Meaning, tuple[str, ...]]] = {
    "seen": {
        "more": (_PLAIN, _PLAIN, "{verb} {n} more", "{verb} another {n}"),
        "fewer": (_PLAIN, _PLAIN, "{verb} {n} of them", "{verb} {n}"),
        "same": (_PLAIN, _PLAIN, "{verb} {n} of them", "{verb} {n}"),
    },
    "unseen": {
        "more": ("{verb} {n} such {things}", "{verb} exactly {n} {things}", "{verb} {n} extra {things}"),
        "fewer": ("{verb} {n} such {things}", "{verb} exactly {n} {things}", "{verb} {n} of the {things}"),
        "same": ("{verb} {n} such {things}", "{verb} exactly {n} {things}", "{verb} {n} of the {things}"),
    },
}
QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "seen": ("How many {things} does {name} have now?",),
    "unseen": ("How many {things} are there in the end?", "Say how many {things} {name} has after all this."),
}
NAMES: Mapping[str, tuple[str, ...]] = {
    "seen": ("Tom", "Anna", "Ben", "Mia", "Sam", "Lily", "Jack", "Emma", "Max", "Ella", "Leo", "Ruth"),
    "unseen": ("Noah", "Clara", "Oscar", "Nina", "Hugo", "Iris"),
}
SHE = frozenset({"Anna", "Mia", "Lily", "Emma", "Ella", "Ruth", "Clara", "Nina", "Iris"})
THINGS: Mapping[str, tuple[str, ...]] = {
    "seen": ("apples", "books", "coins", "pencils", "marbles", "stickers", "cards", "shells", "buttons", "stamps"),
    "unseen": ("ribbons", "lamps", "tickets", "pebbles", "spoons", "candles"),
}


def dealt(seed: int, taught: int, seen: int) -> Mapping[Part, Mapping[Meaning, tuple[str, ...]]]:
    """Who meets which verbs: ``taught`` and ``seen`` many of each meaning, the rest ``unseen``.

    The verbs that are taught do not depend on the seed: a warm-up serves every seed, and no seed practices or tests
    what a warm-up has given away.
    """
    parts: dict[Part, dict[Meaning, tuple[str, ...]]] = {part: {} for part in PARTS}
    for meaning in MEANINGS:
        rest = list(VERBS[meaning][taught:])
        random.Random(f"tales {seed} {meaning}").shuffle(rest)
        parts["taught"][meaning] = VERBS[meaning][:taught]
        parts["seen"][meaning] = tuple(sorted(rest[:seen]))
        parts["unseen"][meaning] = tuple(sorted(rest[seen:]))
    return parts
