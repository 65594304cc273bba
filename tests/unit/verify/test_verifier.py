from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from verify_cases import ANSWERS, RESPONSES, problem

from mel.verify import AnswerFormat, Limits, MathVerifier, WorkerPool, as_reward_function
from mel.verify.pool import default_workers


@pytest.mark.parametrize(
    ("gold", "answer", "is_right"),
    [
        ("42", "42", True),
        ("42", "43", False),
        ("1000", "1,000", True),
        ("42", "42.0", True),
        (r"\frac{1}{2}", "0.5", True),
        (r"\frac{1}{2}", r"\dfrac12", True),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3, \pi/2)", True),
        (r"p - q", r"-q + p", True),
        (r"\text{Evelyn}", "Evelyn", True),
        (r"\$36", "36", True),
        ("12", r"12^{\mathrm{th}} \text{ grade}", True),
        ("42", "\uff14\uff12", True),
        ("42", "42, 43", False),
        ("4, 12, 2", "10, 4, 2", False),
    ],
)
def test_equal_answers_are_right_however_they_are_written(
    verifier: MathVerifier, gold: str, answer: str, is_right: bool
) -> None:
    verdict = verifier.verify([problem(gold)], [f"So $\\boxed{{{answer}}}$."])[0]
    assert verdict.is_correct == is_right
    assert verdict.reason == ("right" if is_right else "wrong")


@pytest.mark.parametrize("response", ["I think 41. But also 42", "42", "The answer is $42$.", ""])
def test_an_unmarked_answer_is_wrong_for_that_reason(verifier: MathVerifier, response: str) -> None:
    verdict = verifier.verify([problem("42")], [response])[0]
    assert (verdict.is_correct, verdict.reason) == (False, "no_final_answer")


def test_a_percentage_answers_a_bare_number_only_where_one_was_asked(verifier: MathVerifier) -> None:
    asked, other = problem("42", "What percent of them swim?"), problem("42", "How many swim?")
    verdicts = verifier.verify([asked, other, problem("0.42")], [r"\boxed{42\%}"] * 3)
    assert [v.is_correct for v in verdicts] == [True, False, True]


def test_several_answers_count_in_any_order_and_only_complete(verifier: MathVerifier) -> None:
    gold = problem("$69$,$84$", has_parts=True)
    responses = [
        r"$\boxed{84}$ and $\boxed{69}$",
        r"\boxed{x=69 \text{ or } x=84}",
        r"\boxed{84}",
        r"\boxed{69, 84, 85}",
    ]
    assert [v.is_correct for v in verifier.verify([gold] * 4, responses)] == [True, True, False, False]


def test_a_unit_may_be_given_or_not(verifier: MathVerifier) -> None:
    gold = problem(r"$\frac{600}{7}$", unit="km/h")
    responses = [r"\boxed{\frac{600}{7}}", r"\boxed{\frac{600}{7} \text{ km/h}}", r"\boxed{\frac{60}{7} \text{ km/h}}"]
    assert [v.is_correct for v in verifier.verify([gold] * 3, responses)] == [True, True, False]


def test_a_published_tolerance_is_inclusive(verifier: MathVerifier) -> None:
    gold = problem("4.2", unit="%", tolerance=0.1)
    responses = [r"\boxed{4.3}", r"\boxed{4.1\%}", r"\boxed{4.31}"]
    assert [v.is_correct for v in verifier.verify([gold] * 3, responses)] == [True, True, False]


def test_verdicts_come_in_order_and_are_counted_by_reason(pool: WorkerPool) -> None:
    verifier = MathVerifier(pool=pool)
    golds = [str(i) for i in range(50)]
    responses = [f"\\boxed{{\\frac{{{2 * i}}}{{2}}}}" if i % 2 else "none" for i in range(50)]
    verdicts = verifier.verify([problem(g) for g in golds], responses)
    assert [v.is_correct for v in verdicts] == [bool(i % 2) for i in range(50)]
    assert verifier.counts == {"right": 25, "no_final_answer": 25, "fast_path": 25}
    assert verifier.metrics() == {"verifier/fast_path": 25.0, "verifier/no_final_answer": 25.0, "verifier/right": 25.0}
    assert verifier.metrics() == {}


def test_no_responses_give_no_verdicts(verifier: MathVerifier) -> None:
    assert verifier.verify([], []) == []


def test_unequal_lengths_are_refused(verifier: MathVerifier) -> None:
    with pytest.raises(ValueError, match="1 problems, 0 responses"):
        verifier.verify([problem("1")], [])


def test_hostile_answers_cost_their_time_and_nothing_else(impatient_pool: WorkerPool) -> None:
    verifier = MathVerifier(pool=impatient_pool)
    answers = list(ANSWERS.values())
    verdicts = verifier.verify([problem("42")] * len(answers), [f"\\boxed{{{a}}}" for a in answers])
    assert [name for name, v in zip(ANSWERS, verdicts, strict=True) if v.is_correct] == []
    assert not Path("/tmp/mel_was_here").exists()
    assert {v.reason for v in verdicts} <= {"wrong", "timeout", "memory", "crash", "error", "unreadable_answer"}
    assert verifier.counts["timeout"] > 0
    assert verifier.verify([problem(r"\frac12")], [r"\boxed{0.5}"])[0].is_correct


def test_hostile_responses_are_judged(impatient_pool: WorkerPool) -> None:
    verifier = MathVerifier(pool=impatient_pool)
    for name, response in RESPONSES.items():
        verdict = verifier.verify([problem("42")], [response])[0]
        assert verdict.is_correct == (name in ("deep boxes",)), (name, verdict)


def test_a_hostile_neighbor_does_not_change_a_verdict(impatient_pool: WorkerPool) -> None:
    responses = [r"\boxed{0.5}", r"\boxed{9^{9^{9^{9}}}}", r"\boxed{\frac{2}{4}}", r"\boxed{0.51}"] * 4
    verdicts = MathVerifier(pool=impatient_pool).verify([problem(r"\frac{1}{2}")] * 16, responses)
    assert [v.reason for v in verdicts] == ["right", "timeout", "right", "wrong"] * 4


def test_a_worker_that_is_killed_is_replaced_and_its_job_is_a_counted_crash() -> None:
    with WorkerPool(Limits(cpu_s=60, workers=1)) as pool:
        verifier = MathVerifier(pool=pool)
        verifier.verify([problem(r"\frac12")], [r"\boxed{0.5}"])
        stop = threading.Event()
        threading.Thread(target=_kill_busy_worker, args=(pool, stop), daemon=True).start()
        verdict = verifier.verify([problem("42")], [r"\boxed{9^{9^{9^{9}}}}"])[0]
        stop.set()
        assert (verdict.is_correct, verdict.reason) == (False, "crash")
        assert verifier.verify([problem(r"\frac12")], [r"\boxed{0.5}"])[0].is_correct


def _kill_busy_worker(pool: WorkerPool, stop: threading.Event) -> None:
    """SIGKILL, as the kernel's out-of-memory killer would."""
    time.sleep(1)
    for pid in pool.worker_ids():
        if not stop.is_set():
            os.kill(pid, signal.SIGKILL)


def test_a_worker_cannot_grow_beyond_its_memory_limit() -> None:
    with WorkerPool(Limits(cpu_s=30, memory_mb=512, workers=1)) as pool:
        with pytest.raises(MemoryError):
            pool._started().schedule(bytearray, args=(2**30,)).result(30)
        assert pool._failure(MemoryError())[:2] == (False, "memory")
        assert MathVerifier(pool=pool).verify([problem(r"\frac12")], [r"\boxed{0.5}"])[0].is_correct


def test_it_works_off_the_main_thread_and_leaves_the_alarm_alone(verifier: MathVerifier) -> None:
    before = signal.getsignal(signal.SIGALRM)
    found: list[bool] = []
    thread = threading.Thread(
        target=lambda: found.extend(v.is_correct for v in verifier.verify([problem(r"\frac12")], [r"\boxed{0.5}"]))
    )
    thread.start()
    thread.join(30)
    assert found == [True]
    assert signal.getsignal(signal.SIGALRM) is before


def test_two_threads_share_a_pool(pool: WorkerPool) -> None:
    verifier = MathVerifier(pool=pool)
    found: dict[int, list[bool]] = {}

    def work(n: int) -> None:
        responses = [f"\\boxed{{\\frac{{{n}}}{{1}}}}"] * 20
        found[n] = [v.is_correct for v in verifier.verify([problem("3")] * 20, responses)]

    threads = [threading.Thread(target=work, args=(n,)) for n in (3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {3: [True] * 20, 4: [False] * 20}


def test_a_script_without_a_main_guard_runs_once_and_leaves_no_process(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            r"""
            print("started")
            from mel.types import Problem
            from mel.verify import Limits, MathVerifier, WorkerPool
            verifier = MathVerifier(pool=WorkerPool(Limits(workers=2)))
            verdict = verifier.verify([Problem(id="a", text="", answer="0.5")], [r"\boxed{\frac12}"])[0]
            pids = verifier.pool.worker_ids()
            print(verdict.reason, *pids)
            """
        )
    )
    ran = subprocess.run([sys.executable, "-W", "error", str(script)], capture_output=True, text=True, timeout=120)
    assert ran.stderr == ""
    lines = ran.stdout.split("\n")
    assert lines[0] == "started"
    reason, *pids = lines[1].split()
    assert reason == "right"
    assert lines[2:] == [""]
    assert _alive_after(pids, seconds=10) == []


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals are Linux's")
def test_a_killed_host_leaves_no_worker_behind(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            r"""
            import threading, time
            from mel.types import Problem
            from mel.verify import Limits, MathVerifier, WorkerPool
            verifier = MathVerifier(pool=WorkerPool(Limits(cpu_s=300, workers=1)))
            verifier.verify([Problem(id="a", text="", answer="0.5")], [r"\boxed{\frac12}"])
            hang = ([Problem(id="a", text="", answer="1")], [r"\boxed{9^{9^{9^{9}}}}"])
            threading.Thread(target=verifier.verify, args=hang, daemon=True).start()
            time.sleep(1)
            print(*verifier.pool.worker_ids(), flush=True)
            time.sleep(300)
            """
        )
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        pids = host.stdout.readline().split()
        host.kill()
    assert pids
    assert _alive_after(pids, seconds=10) == []


def _alive_after(pids: list[str], *, seconds: float) -> list[str]:
    until = time.monotonic() + seconds
    alive = pids
    while alive and time.monotonic() < until:
        time.sleep(0.1)
        alive = [pid for pid in alive if Path(f"/proc/{pid}/cmdline").exists() and _state(pid) != "Z"]
    return alive


def _state(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_closing_ends_the_workers_and_the_next_call_starts_new_ones() -> None:
    others = {process.pid for process in multiprocessing.active_children()}
    pool = WorkerPool(Limits(workers=1))
    verifier = MathVerifier(pool=pool)
    assert verifier.verify([problem(r"\frac12")], [r"\boxed{0.5}"])[0].is_correct
    verifier.close()
    assert pool._pool is None
    assert verifier.verify([problem(r"\frac12")], [r"\boxed{0.5}"])[0].is_correct
    verifier.close()
    assert {process.pid for process in multiprocessing.active_children()} <= others


@pytest.mark.parametrize("limits", [{"cpu_s": 0}, {"timeout_s": 0}, {"memory_mb": 100}, {"workers": 0}])
def test_limits_that_cannot_work_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Limits(**limits)


def test_the_ranks_of_a_node_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = default_workers()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert default_workers() == max(1, alone // 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4096")
    assert default_workers() == 1


def test_an_answer_beyond_the_cap_is_wrong_unread(pool: WorkerPool) -> None:
    verifier = MathVerifier(AnswerFormat(max_answer_chars=10), pool=pool)
    verdict = verifier.verify([problem("1")], [r"\boxed{1 + 0 + 0 + 0 + 0}"])[0]
    assert verdict.reason == "answer_too_long"


def test_the_reward_function_speaks_trl(pool: WorkerPool) -> None:
    reward = as_reward_function(MathVerifier(pool=pool), answer_column="solution")
    logged: dict[str, float] = {}
    rewards = reward(
        prompts=[[{"role": "user", "content": "How many?"}], "What percent?"],
        completions=[[{"role": "assistant", "content": r"\boxed{\frac{4}{2}}"}], r"\boxed{10\%}"],
        solution=[r"It is $\boxed{2}$.", "10"],
        log_metric=lambda path, value: logged.__setitem__(path, value),
        trainer_state=None,
    )
    assert rewards == [1.0, 1.0]
    assert logged["verifier/right"] == 2
    assert reward.__name__ == "math_reward"


def test_the_reward_function_names_the_columns_it_got(pool: WorkerPool) -> None:
    with pytest.raises(ValueError, match=r"'answer'.*\['solution'\]"):
        as_reward_function(MathVerifier(pool=pool))(prompts=["x"], completions=["y"], solution=["1"])


@pytest.mark.parametrize(
    "content",
    [None, [], [{"type": "image"}], [{"type": "text", "text": "I do not know"}]],
)
def test_the_reward_function_takes_messages_without_an_answer(pool: WorkerPool, content: object) -> None:
    reward = as_reward_function(MathVerifier(pool=pool))
    assert reward(prompts=["x"], completions=[[{"role": "assistant", "content": content}]], answer=["1"]) == [0.0]


def test_the_reward_function_reads_the_text_parts_of_a_message(pool: WorkerPool) -> None:
    reward = as_reward_function(MathVerifier(pool=pool))
    parts = [{"type": "text", "text": "So"}, {"type": "image"}, {"type": "text", "text": r"\boxed{6}"}]
    prompt = [{"role": "user", "content": [{"type": "text", "text": "What percent?"}]}]
    completions = [[{"role": "assistant", "content": parts}], [{"role": "assistant", "content": [r"\boxed{6\%}"]}]]
    assert reward(prompts=[prompt, prompt], completions=completions, answer=["6", "6"]) == [1.0, 1.0]


def test_an_empty_cell_of_the_answer_column_is_an_unreadable_gold(pool: WorkerPool) -> None:
    verifier = MathVerifier(pool=pool)
    assert as_reward_function(verifier)(prompts=["x"], completions=[r"\boxed{None}"], answer=[None]) == [0.0]
    assert verifier.counts["unreadable_gold"] == 1


def test_a_formula_copied_from_the_question_is_no_answer(verifier: MathVerifier) -> None:
    asked = problem("551", r"Compute $19\times 29$.")
    simplify = problem("t+2", r"Simplify \(\frac{t^2-4}{t-2}\).")
    find = problem(r"\frac{3}{4}", r"Write $\frac{3}{4}$ and $0.75$ as one fraction, if $a=5$.")
    cases = [
        (asked, r"19 \times 29", False),
        (asked, r"551", True),
        (asked, r"29 \times 19", True),
        (simplify, r"\frac{t^2-4}{t-2}", False),
        (simplify, "2+t", True),
        (find, r"\frac34", True),
        (find, "0.75", True),
    ]
    verdicts = verifier.verify([p for p, _, _ in cases], [rf"\boxed{{{a}}}" for _, a, _ in cases])
    assert [v.is_correct for v in verdicts] == [expected for _, _, expected in cases]


def test_a_percent_sign_on_a_marked_line_is_a_unit(pool: WorkerPool) -> None:
    verifier = MathVerifier(AnswerFormat(markers=("boxed", "####")), pool=pool)
    responses = ["#### 36%", r"\boxed{36\%}", "#### 36, altogether", "#### 36 pens", "#### 36 or 37"]
    verdicts = verifier.verify([problem("36", text="")] * 5, responses)
    assert [v.is_correct for v in verdicts] == [True, False, True, True, False]


def test_a_gold_that_is_an_object_is_refused_by_its_column(pool: WorkerPool) -> None:
    reward = as_reward_function(MathVerifier(pool=pool))
    with pytest.raises(ValueError, match="in the column answer, got an object with final, unit: name the field"):
        reward(prompts=["x"], completions=["y"], answer=[{"final": "1", "unit": "m"}])
