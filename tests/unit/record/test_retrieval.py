"""Notes of a run in the prompts of an evaluation; the store is written as training writes it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from stories import PROMPTS, words

from mel.config import Recipe, load_recipe
from mel.prompts.ask import PlainAsk
from mel.record import ExperienceStore
from mel.record.search import Memory
from mel.run.evaluation.retrieval import Notes, NotesOfRun, RetrievingAsk
from mel.run.recalling import recall_of
from mel.types import Problem, Replayed

SYSTEM = {"role": "system", "content": "Count."}


@pytest.fixture
def ask(tmp_path: Path, make_replayed: Callable[..., Replayed]) -> RetrievingAsk:
    with ExperienceStore.create(tmp_path / "experiences.db") as store:
        store.write_step(1, [make_replayed(problem="start 5 1) sorts 2", heuristic="sorts means same")])
    plain = PlainAsk(prompts=PROMPTS, opening=(SYSTEM,))
    memory = Memory.open(tmp_path / "experiences.db")
    notes = NotesOfRun(asked=Notes(run=tmp_path, k=2), memory=memory, source="abc")
    return RetrievingAsk(plain=plain, prompts=PROMPTS, notes=notes)


def test_a_problem_that_shares_a_word_is_asked_in_the_words_of_a_replay_after_the_same_opening(
    ask: RetrievingAsk,
) -> None:
    problem = Problem(id="q", text="start 9 1) sorts 1", answer="9")
    assert ask(problem) == [SYSTEM, {"role": "user", "content": PROMPTS.replay(problem.text, "sorts means same")}]
    assert len(words().chat(ask(problem)[1:])) > len(words().chat(ask.plain(problem)[1:]))


def test_a_problem_that_shares_no_word_is_asked_as_it_is(ask: RetrievingAsk) -> None:
    problem = Problem(id="q", text="9 + 5", answer="14")
    assert ask(problem) == ask.plain(problem)


def test_whole_experiences_stand_there_as_a_replay_quotes_them(ask: RetrievingAsk) -> None:
    problem = Problem(id="q", text="start 9 1) sorts 1", answer="9")
    (note,) = ask.notes.memory.notes(problem.text, 1)
    assert note.experience != note.heuristic
    asked = replace(ask.notes.asked, part="experience")
    whole = replace(ask, notes=replace(ask.notes, asked=asked))
    assert whole(problem)[1]["content"] == PROMPTS.replay(problem.text, str(note.experience))
    assert whole.name == f"{ask.plain.name}+retrieve2_experience@abc"


def test_results_with_notes_are_told_from_those_without(ask: RetrievingAsk) -> None:
    assert ask.name == f"{ask.plain.name}+retrieve2@abc"


def test_an_auxiliary_is_given_the_heuristics_of_the_run_that_it_names(ask: RetrievingAsk, tmp_path: Path) -> None:
    def recipe(run: Path) -> Recipe:
        named = f"auxiliaries.0.settings.experiences_of={run}"
        return load_recipe("scaffold", ["auxiliaries.0.settings.source=experience", named])

    recall = recall_of(recipe(tmp_path))
    assert recall is not None
    assert recall(str(tmp_path), "start 9 1) sorts 1", 3) == ["sorts means same"]
    assert recall(str(tmp_path), "9 + 5", 3) == []
    assert recall_of(load_recipe("scaffold")) is None
    with pytest.raises(ValueError, match=r"expected the experience store of a run; there is no such file"):
        recall_of(recipe(tmp_path / "nowhere"))
