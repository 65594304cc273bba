"""What a metric is called for people: a title, what it measures, and its unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mel.record.concepts import CONCEPT
from mel.record.metric_names import CUMULATIVE, EVALUATION, GENERATED, SECONDS, STEP, TRAINED

WORDS: Mapping[str, tuple[str, str]] = {
    "reward/mean": ("Reward", "mean over the rollouts of a step"),
    "reward/groups_mixed": ("Mixed groups", "share of problems with right and wrong rollouts"),
    "objective/lambda": ("Weight λ", "of the auxiliary's rows beside the policy loss"),
    "objective/cosine": ("Cosine", "between the policy's and the rows' gradient, -1 to 1"),
    "objective/nll": ("NLL of the rows", "nats per token"),
    "objective/grad_norm_policy": ("Norm of the policy gradient", "before weighting"),
    "objective/grad_norm_auxiliary": ("Norm of the rows' gradient", "before weighting"),
    GENERATED: ("All tokens generated", ""),
    TRAINED: ("All tokens trained", "rollout tokens and row targets"),
    SECONDS: ("All seconds", "evaluations in between included"),
    "tokens/rollout": ("Rollouts", "tokens generated"),
    "tokens/rows": ("Targets of rows", "tokens trained"),
    "tokens/rows_context": ("Contexts of rows", "tokens read"),
    "time_s/rollout": ("Rollouts", "seconds"),
    "time_s/verify": ("Verification", "seconds"),
    "time_s/update": ("Forward, backward, optimizer", "seconds"),
    "rows/real": ("Rows trained", "per step"),
    "rows/dummy": ("Empty rows", "that keep ranks in step, per step"),
    # TRL's own
    "loss": ("Loss", "policy and auxiliaries"),
    "grad_norm": ("Norm of the whole gradient", "as clipped"),
    "learning_rate": ("Learning rate", ""),
    "entropy": ("Entropy", "nats per sampled token"),
    "kl": ("KL to the reference model", "nats per sampled token"),
    "reward_std": ("Spread of the rewards", "standard deviation in a group"),
    "frac_reward_zero_std": ("Groups without spread", "share"),
    "completions/mean_length": ("Length of completions", "mean, tokens"),
    "completions/clipped_ratio": ("Truncated completions", "share"),
}
"""Metric path -> title, and what it measures with its unit. Methods declare words for their own metrics."""

GENERATES, TAKES, OBJECTIVE = "tokens/", "time_s/", "objective/"
NOT_SHOWN = (STEP, *CUMULATIVE, "time_s/step", "epoch", "num_tokens", "step_time")
"""Metrics that are an axis, or say the same as another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """The words of a page: ours, and those that the methods of its runs declare.

    Args:
        declared: metric path -> title and note.
    """

    declared: Mapping[str, tuple[str, str]]

    def of(self, path: str) -> tuple[str, str]:
        """Title and note of a metric, whoever brought it: what nobody has words for is called by its path."""
        found = self.declared.get(path) or WORDS.get(path)
        if found is not None:
            return found
        room, _, name = path.rpartition("/")
        if room.startswith(OBJECTIVE) and (of_one := WORDS.get(f"{OBJECTIVE}{name}")):
            return f"{of_one[0]}, {_spaced(room.removeprefix(OBJECTIVE))}", of_one[1]
        title = _spaced(name) or path
        if room == "tokens":
            return title[:1].upper() + title[1:], "tokens generated"
        if room == "time_s":
            return title[:1].upper() + title[1:], "seconds"
        if path.startswith(EVALUATION):
            suite = room.removeprefix(EVALUATION)
            return f"{suite}, {title.replace('pass at 1', 'Pass@1')}", "share of right answers, during training"
        return title[:1].upper() + title[1:], _spaced(room)


def _spaced(path: str) -> str:
    return path.replace("_", " ").replace("/", ", ").strip()


def duration(seconds: float) -> str:
    """Seconds in the unit that a person would choose: `45 seconds`, `12 minutes`, `3.5 hours`."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} hours"


def commit_word(commit: object) -> str:
    """The first ten digits of a commit, and the + that says that something was changed and not committed."""
    text = str(commit or "")
    return text[:10] + ("+" if text.endswith("+") and len(text) > 10 else "")


def is_counted_elsewhere(path: str) -> bool:
    """Whether a metric has a part of the page of its own: an axis, a cost, a concept or an evaluation."""
    return path in NOT_SHOWN or path.startswith((GENERATES, TAKES, CONCEPT, EVALUATION))


def declared_by(environments: Mapping[str, object]) -> dict[str, tuple[str, str]]:
    """The words in a run's environment.json: metric path -> [title, note]."""
    found = environments.get("words")
    items = found.items() if isinstance(found, Mapping) else ()
    return {str(path): (str(words[0]), str(words[1])) for path, words in items if isinstance(words, list | tuple)}
