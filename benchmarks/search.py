"""Full-text search over many experiences, as `mel browse` does it: the slowest of some queries, in milliseconds."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from mel.record.library import Library, Query
from mel.record.store import ExperienceStore
from mel.tasks.tales.verbs import VERBS
from mel.types import (
    Attempt,
    Candidate,
    Completion,
    Group,
    MetaExperience,
    Pair,
    Problem,
    Replayed,
    Rollout,
    Step,
    Truth,
    Verdict,
)

RIGHT, WRONG = Verdict(is_correct=True, reason="right"), Verdict(is_correct=False, reason="wrong")
PER_STEP = 200
PAGE = 20
REPEATS = 7

QUERIES = {
    "no word, all": Query(),
    "a word of every text": Query(words="step"),
    "a word of one in 190": Query(words="recovers"),
    "the beginning of a word": Query(words="re"),
    "three words": Query(words="if someone recovers"),
    "a word and every filter": Query(words="number", verdict="kept", concept="recovers", step=100),
    "no such word": Query(words="zzz"),
}


def search(*, experiences: int = 100_000) -> dict[str, Any]:
    """Seconds to make and to index a store of so many made-up experiences, and milliseconds of each query."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "experiences.db"
        with ExperienceStore.create(path) as store:
            write(store, experiences)
        started = time.perf_counter()
        library = Library(ExperienceStore.open(path))
        indexed = time.perf_counter() - started
        found = {name: _milliseconds(library, query) for name, query in QUERIES.items()}
        library.close()
        return {"experiences": experiences, "mb": path.stat().st_size / 1e6, "index_s": indexed, "ms": found}


def _milliseconds(library: Library, query: Query) -> dict[str, float]:
    """Median time of one page of results with their texts, and how many match."""
    times, total = [], 0
    for _ in range(REPEATS):
        started = time.perf_counter()
        found = library.find(query, limit=PAGE)
        for number in found.ids:
            library.store.show(number)
        times.append(1000 * (time.perf_counter() - started))
        total = found.total
    return {"median": statistics.median(times), "most": max(times), "matches": total}


def write(store: ExperienceStore, count: int, *, seed: int = 0, per_step: int = PER_STEP, lines: int = 3) -> None:
    """Fill a store with so many made-up experiences of verbs, about solutions of so many steps."""
    rng = random.Random(seed)
    verbs = [verb for of_meaning in VERBS.values() for verb in of_meaning]
    for first in range(0, count, per_step):
        items = [_experience(rng, rng.choice(verbs), first + i, lines) for i in range(min(per_step, count - first))]
        store.write_step(first // per_step + 1, items)


def _experience(rng: random.Random, verb: str, number: int, lines: int) -> Replayed:
    name, start, amount = rng.choice(["Max", "Ada", "Ida", "Zoe"]), rng.randrange(40, 60), rng.randrange(1, 6)
    text = f"{name} has {start} books. Then {name} {verb} {amount} books. How many books does {name} have now?"
    steps = [
        f"Step {i}: {name} {rng.choice(['finds', 'sorts', verb])} {amount}, that makes {start + i}."
        for i in range(1, lines + 1)
    ]
    wrong, right = "\n".join(steps), "\n".join(reversed(steps))
    spans = tuple(Step(number=i, start=20 * i - 20, end=20 * i) for i in (1, 2, 3))
    rollouts = (
        Rollout(token_ids=(1,), text=right, verdict=RIGHT, reward=1.0),
        Rollout(token_ids=(1,), text=wrong, verdict=WRONG, reward=0.0),
    )
    group = Group(
        problem=Problem(id=f"p{number % 4096}", text=text, answer=str(start)), prompt_ids=(), rollouts=rollouts
    )
    pair = Pair(group=group, right=rollouts[0], wrong=rollouts[1], wrong_index=1, right_steps=spans, wrong_steps=spans)
    heuristic = f"If someone {verb} things, the number {rng.choice(['grows', 'gets smaller', 'stays the same'])}."
    written = f"Bifurcation: step 2\nCritique: {verb} was misread in step 2.\nHeuristic: {heuristic}"
    is_kept = rng.random() < 0.4
    completion = Completion(token_ids=(1,), text=written)
    return Replayed(
        candidate=Candidate(
            pair=pair,
            context_ids=(),
            completion=completion,
            experience=MetaExperience(bifurcation=2, critique=f"{verb} was misread", heuristic=heuristic, text=written),
        ),
        prefix_ids=(),
        attempts=(Attempt(completion=completion, response=right, verdict=RIGHT if is_kept else WRONG),),
        is_kept=is_kept,
        reason="kept" if is_kept else rng.choice(["failed_replay", "no_uplift"]),
        truth=Truth(first_error=2, is_true_rule=True, concept=verb),
    )
