"""Texts that a policy may write and a page must show as text, and an experience that holds one everywhere."""

from dataclasses import replace

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
    Verdict,
)

HOSTILE = (
    "</script><script>document.title='PWNED'</script>",
    "<img src=x onerror=\"document.title='PWNED'\">",
    "<!--<script>",
    "{{ 7 * 7 }}{% raw %}",
    "\u2028\u2029 \0 \x1b[31m \ud83d \U0001f600 </textarea></style><svg onload=document.title='PWNED'>",
    "javascript:document.title='PWNED'",
    "'\"`${document.title='PWNED'}`&lt;b&gt;",
    "4\u200b2 \u202e14 = x",
)


def hostile(text: str) -> Replayed:
    wrong = Rollout(token_ids=(1,), text=f"{text} wrong", verdict=Verdict(is_correct=False, reason="wrong"), reward=0.0)
    right = replace(wrong, text=f"{text} right", verdict=Verdict(is_correct=True, reason="right"))
    group = Group(problem=Problem(id=text, text=text, answer=text), prompt_ids=(), rollouts=(right, wrong))
    steps = (Step(number=1, start=0, end=3), Step(number=2, start=3, end=len(text)))
    pair = Pair(group=group, right=right, wrong=wrong, wrong_index=1, right_steps=steps, wrong_steps=steps)
    completion = Completion(token_ids=(1,), text=text)
    experience = MetaExperience(bifurcation=1, critique=text, heuristic=text, text=text)
    candidate = Candidate(pair=pair, context_ids=(), completion=completion, experience=experience)
    attempt = Attempt(
        completion=completion, response=text, verdict=Verdict(is_correct=True, reason="right", detail=text)
    )
    return Replayed(candidate=candidate, prefix_ids=(), attempts=(attempt,), is_kept=True, reason="kept")
