"""Evaluation over a generator that adds: right for even sums, wrong for odd ones."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mel import prompts
from mel.evaluate.evaluation import Progress, evaluate
from mel.evaluate.given import score
from mel.evaluate.responses import ResponseFile
from mel.evaluate.result import lines, macro_average, markdown, read_result, write_result
from mel.prompts.ask import PlainAsk
from mel.types import Completion, Message, Problem, Sampling, TokenIds, Verdict

ASK = PlainAsk(prompts=prompts.load("story_counts"))


class Characters:
    """One token per character."""

    def chat(self, messages: Sequence[Message]) -> TokenIds:
        return self.encode(messages[-1]["content"])

    def encode(self, text: str) -> TokenIds:
        return tuple(map(ord, text))

    def decode(self, token_ids: Sequence[int]) -> str:
        return "".join(map(chr, token_ids))

    def token_index(self, token_ids: Sequence[int], char: int) -> int:
        return char


class Adder:
    """Adds two numbers; sampled, every second call of an odd sum is off by one, greedy every odd sum is."""

    def __init__(self, die_after: int | None = None) -> None:
        self.asked = 0
        self.calls: list[tuple[int, float]] = []
        self._die_after = die_after

    def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
        if self._die_after is not None and len(self.calls) == self._die_after:
            raise KeyboardInterrupt
        self.calls.append((len(prompts), sampling.temperature))
        return [self._add("".join(map(chr, p)), sampling) for p in prompts]

    def _add(self, prompt: str, sampling: Sampling) -> Completion:
        a, b = map(int, re.findall(r"\d+", prompt))
        self.asked += 1
        is_off = (a + b) % 2 and (sampling.temperature == 0 or self.asked % 2)
        text = f"the sum is {a + b + bool(is_off)}"
        return Completion(token_ids=tuple(map(ord, text)), text=text, is_truncated=False)


class LastNumber:
    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        return [self._one(p, r) for p, r in zip(problems, responses, strict=True)]

    def _one(self, problem: Problem, response: str) -> Verdict:
        found = re.findall(r"\d+", response)
        if not found:
            return Verdict(is_correct=False, reason="no_final_answer")
        is_right = found[-1] == problem.answer
        return Verdict(is_correct=is_right, reason="right" if is_right else "wrong", detail=found[-1])


@pytest.fixture
def problems() -> list[Problem]:
    return [Problem(id=f"sum-{i}", text=f"{i} + 3", answer=str(i + 3)) for i in range(6)]


@pytest.fixture
def run(problems: list[Problem], tmp_path: Path) -> Callable[..., object]:
    def run(generator: Adder, **changes: object):
        settings = {
            "k": 2,
            "temperature": 0.6,
            "max_tokens": 32,
            "batch_size": 4,
            "out": tmp_path / "sums",
            "model": "adder",
        }
        arguments = {"problems": problems} | settings | changes
        return evaluate(arguments.pop("problems"), LastNumber(), generator, Characters(), ASK, **arguments)

    return run


def test_scores_are_those_of_the_responses(run, tmp_path: Path) -> None:
    result = run(Adder())
    # Sums 3 to 8: even ones are always right; odd ones are wrong greedily and right every second time sampled.
    assert result.pass_at_1.value == 0.5
    by_problem = {s.problem: (s.greedy, s.samples, s.correct) for s in result.scores}
    assert by_problem["sum-1"] == (True, 2, 2)
    correct = sum(s.correct for s in result.scores)
    assert result.average_at_k.value == pytest.approx(correct / 12)
    assert result.pass_at_k.value == pytest.approx(sum(s.correct > 0 for s in result.scores) / 6)
    assert result.problems == 6
    rows = [json.loads(line) for line in (tmp_path / "sums" / "responses.jsonl").read_text().splitlines()[1:]]
    assert len(rows) == 18
    assert result.tokens == sum(len(r["text"]) for r in rows) == sum(r["num_tokens"] for r in rows)
    assert result.reasons == {"right": 3 + correct, "wrong": 3 + 12 - correct}


def test_greedy_and_sampled_responses_are_asked_in_calls_of_their_own(run) -> None:
    generator = Adder()
    run(generator)
    assert generator.calls == [(4, 0.0), (2, 0.0), (4, 0.6), (4, 0.6), (4, 0.6)]


def test_what_was_written_reads_back_equal(run, tmp_path: Path) -> None:
    result = run(Adder(), environment={"engine": "adder 1.0", "seed": 4})
    assert read_result(tmp_path / "sums") == result
    table = (tmp_path / "sums" / "result.md").read_text()
    assert table == markdown([result])
    assert "| evaluation | problems | Pass@1 | Avg@2 | Pass@2 |" in table
    assert "| sums | 6 | 50.0 [" in table
    assert "| pass@k, unbiased | 1 | 2 |" in table
    assert "model adder, k 2 at temperature 0.6" in table


class SeededAdder(Adder):
    """Repeats itself exactly for the same seed and place in the call, like a real engine."""

    def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
        self.asked = sampling.seed or 0
        return super().generate(prompts, sampling)


def test_a_killed_evaluation_ends_with_the_responses_of_an_undisturbed_one(run, tmp_path: Path) -> None:
    undisturbed = run(SeededAdder(), out=tmp_path / "undisturbed")
    with pytest.raises(KeyboardInterrupt):
        run(SeededAdder(die_after=4))
    path = tmp_path / "sums" / "responses.jsonl"
    before = path.read_text()
    assert before.count("\n") == 1 + 4 + 2 + 4 + 4
    path.write_text(before[:-20])  # the kill came in the middle of the last line
    generator = SeededAdder()
    result = run(generator)
    assert generator.calls == [(4, 0.6), (4, 0.6)], "the batch that lacks a response, and the one never begun"
    assert path.read_text().startswith(before[: before.rindex('{"problem"')])
    assert result.scores == undisturbed.scores
    texts = [{r.job: r.text for r in ResponseFile(p, result.settings).read()}
             for p in (path, tmp_path / "undisturbed" / "responses.jsonl")]  # fmt: skip
    assert texts[0] == texts[1]


def test_every_engine_call_has_a_seed_of_its_own(run) -> None:
    class Listening(Adder):
        def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
            seeds.append(sampling.seed)
            return super().generate(prompts, sampling)

    seeds: list[int | None] = []
    run(Listening(), seed=7)
    assert seeds == [7 * 1_000_003 + n for n in range(1, 6)]


def test_a_finished_evaluation_generates_nothing_more(run) -> None:
    first = run(Adder())
    generator = Adder()
    assert run(generator) == first
    assert generator.calls == []


def test_half_a_character_at_the_end_is_half_a_line(run, tmp_path: Path) -> None:
    run(Adder())
    path = tmp_path / "sums" / "responses.jsonl"
    path.write_bytes(path.read_bytes() + '{"problem": "é'.encode()[:-1])
    generator = Adder()
    run(generator)
    assert generator.calls == []


def test_another_evaluation_is_not_mixed_into_the_first(run) -> None:
    run(Adder())
    with pytest.raises(
        ValueError, match=r"holds responses of another evaluation \(temperature: there 0.6, asked 1.0\)"
    ):
        run(Adder(), temperature=1.0)
    with pytest.raises(ValueError, match=r"\(problems: there "):
        run(Adder(), problems=[Problem(id="sum-0", text="9 + 3", answer="12")])


def test_a_damaged_line_is_named(run, tmp_path: Path) -> None:
    run(Adder())
    path = tmp_path / "sums" / "responses.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], "garbage\n", *lines[3:]]))
    with pytest.raises(ValueError, match="line 4: expected a JSON object; got 'garbage'"):
        run(Adder())


def test_progress_counts_every_batch_and_estimates_the_rest(run) -> None:
    seen: list[Progress] = []
    run(Adder(), progress=seen.append)
    assert [p.done for p in seen] == [0, 4, 6, 10, 14, 18]
    assert {p.total for p in seen} == {18}
    assert seen[0].time_left_s is None
    halfway = Progress(done=12, total=20, resumed=4, tokens=600, seconds=4.0)
    assert (halfway.tokens_per_s, halfway.time_left_s) == (150.0, 4.0)


def test_greedy_only_has_no_sampled_scores(run) -> None:
    result = run(Adder(), k=0, temperature=0.0)
    assert (result.average_at_k, result.pass_at_k) == (None, None)
    assert result.pass_at_1.value == 0.5
    assert "| - | - |" in markdown([result])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"problems": []}, "expected at least one problem; got none"),
        ({"temperature": 0.0}, r"expected a temperature above 0 for 2 samples per problem; got 0.0"),
        ({"k": -1}, "expected k >= 0"),
        ({"problems": [Problem(id="a", text="1 + 1", answer="2")] * 2}, "the id 'a' occurs more often"),
    ],
)
def test_a_bad_question_is_refused(run, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(Adder(), **changes)


def test_a_generator_that_loses_a_response_is_refused(run) -> None:
    class Lossy(Adder):
        def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
            return super().generate(prompts, sampling)[1:]

    with pytest.raises(ValueError, match="expected 4 responses from the generator; got 3"):
        run(Lossy())


def test_scores_come_again_without_the_problems_that_training_contains(run, tmp_path: Path) -> None:
    # Even sums (1, 3, 5) are always right; of the odd ones sum-0 and sum-2 are contained, sum-4 is not.
    result = run(Adder(), contained={"sum-0", "sum-2", "another benchmark's"})
    assert result.contained == ("sum-0", "sum-2")
    assert (result.problems, result.pass_at_1.value) == (6, 0.5)
    assert (result.clean.problems, result.clean.pass_at_1.value) == (4, 0.75)
    assert read_result(tmp_path / "sums") == result
    table = (tmp_path / "sums" / "result.md").read_text()
    assert "| sums, not in training | 4 | 75.0 [" in table


def test_without_contained_problems_there_is_nothing_to_say_twice(run, tmp_path: Path) -> None:
    assert run(Adder(), out=tmp_path / "a").contained is None
    looked = run(Adder(), out=tmp_path / "b", contained=())
    assert (looked.contained, looked.clean) == ((), None)
    everything = run(Adder(), out=tmp_path / "c", contained={f"sum-{i}" for i in range(6)})
    assert everything.clean is None
    assert "not in training" not in markdown([looked])


def test_pass_at_k_is_given_for_powers_of_two_and_for_all_samples(run) -> None:
    result = run(Adder(), k=6)
    assert sorted(result.pass_at) == [1, 2, 4, 6]
    assert result.pass_at[1].value == pytest.approx(result.average_at_k.value)
    assert result.pass_at_k == result.pass_at[6]
    values = [result.pass_at[k].value for k in (1, 2, 4, 6)]
    assert values == sorted(values)


def test_responses_of_somebody_else_are_scored(problems: list[Problem], tmp_path: Path) -> None:
    source = tmp_path / "theirs.jsonl"
    rows = [{"id": p.id, "response": p.answer if n else "no idea"} for p in problems for n in range(3)]
    source.write_text("".join(json.dumps(r) + "\n" for r in rows))
    result = score(problems, LastNumber(), source, out=tmp_path / "scored")
    assert result.pass_at_1 is None
    assert result.average_at_k.value == pytest.approx(2 / 3)
    # 2 of 3 right, k = 3: certain.
    assert result.pass_at_k.value == 1.0
    assert result.pass_scores(1) == pytest.approx(dict.fromkeys([p.id for p in problems], 2 / 3))
    assert result.reasons == {"right": 12, "no_final_answer": 6}
    table = (tmp_path / "scored" / "result.md").read_text()
    assert "responses that were given, how they were made is not known" in table
    assert "temperature" not in table


def test_other_responses_are_not_scored_into_a_directory_that_keeps_the_first(
    problems: list[Problem], tmp_path: Path
) -> None:
    source, out = tmp_path / "theirs.jsonl", tmp_path / "scored"

    def scored(right: bool):
        rows = [{"id": p.id, "text": p.answer if right else "no idea"} for p in problems]
        source.write_text("".join(json.dumps(r) + "\n" for r in rows))
        return score(problems, LastNumber(), source, out=out)

    first = scored(False)
    assert scored(False) == first
    with pytest.raises(ValueError, match=r"holds other responses than .*theirs\.jsonl: delete that file"):
        scored(True)
    assert read_result(out) == first, "the result is that of the responses beside it"


def test_our_own_responses_score_the_same_again(run, problems: list[Problem], tmp_path: Path) -> None:
    first = run(Adder())
    again = score(problems, LastNumber(), tmp_path / "sums" / "responses.jsonl", out=tmp_path / "again")
    assert again.scores == first.scores
    assert again.pass_at_1 == first.pass_at_1


def test_responses_must_cover_the_problems_and_no_other(problems: list[Problem], tmp_path: Path) -> None:
    source = tmp_path / "theirs.jsonl"
    source.write_text('{"id": "sum-0", "text": "3"}\n{"id": "other", "text": "3"}\n')
    with pytest.raises(ValueError, match=r"5 have none \('sum-1'\), 1 ids are unknown \('other'\)"):
        score(problems, LastNumber(), source, out=tmp_path / "scored")


def test_two_greedy_responses_to_one_problem_are_refused(problems: list[Problem], tmp_path: Path) -> None:
    source = tmp_path / "theirs.jsonl"
    rows = [{"id": p.id, "text": p.answer, "kind": "greedy"} for p in [*problems, problems[2]]]
    source.write_text("".join(json.dumps(r) + "\n" for r in rows))
    with pytest.raises(ValueError, match="expected one greedy response per problem; got more to 'sum-2'"):
        score(problems, LastNumber(), source, out=tmp_path / "scored")


def test_a_response_file_that_is_not_there_is_refused(problems: list[Problem], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"theirs.jsonl: no such file"):
        score(problems, LastNumber(), tmp_path / "theirs.jsonl", out=tmp_path / "scored")


def test_a_response_file_without_the_fields_is_refused(problems: list[Problem], tmp_path: Path) -> None:
    source = tmp_path / "theirs.jsonl"
    source.write_text('{"question": "1 + 1", "answer": "2"}\n')
    with pytest.raises(ValueError, match=r"line 1: expected a problem id .* got the keys question, answer"):
        score(problems, LastNumber(), source, out=tmp_path / "scored")


def test_the_average_over_benchmarks_weighs_them_alike(run, tmp_path: Path) -> None:
    small = run(Adder(), problems=[Problem(id="x", text="1 + 1", answer="2")], out=tmp_path / "small")
    large = run(Adder(), contained={"sum-0", "sum-2"})
    average = macro_average([small, large])
    assert average.pass_at_1.value == (1.0 + 0.5) / 2
    assert average.problems == 7
    assert macro_average([small, large], clean=True).pass_at_1.value == (1.0 + 0.75) / 2
    names = [name for name, _ in lines([small, large])]
    assert names == ["small", "sums", "sums, not in training", "average", "average, not in training"]


def test_no_result_yet_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it was not finished"):
        read_result(tmp_path)
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(ValueError, match="it cannot be read"):
        read_result(tmp_path)


def test_a_result_that_cannot_be_written_leaves_the_one_that_was_there(run, tmp_path: Path) -> None:
    first = run(Adder())
    (tmp_path / "sums" / "result.json.part").mkdir()
    with pytest.raises(OSError, match=r"result\.json\.part"):
        write_result(first, tmp_path / "sums")
    assert read_result(tmp_path / "sums") == first
