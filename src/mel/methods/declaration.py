"""What the parts of a method declare, so that everything around them can plan, check, count and report without names.

A carrier, a credit rule or an auxiliary is a class of settings (a subclass of `CarrierSettings`, `CreditSettings` or
`AuxiliarySettings`, one line in the table of its slot) and whatever its `build` returns. Nothing outside `mel.methods`
names one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from mel.methods.needs import Assumptions, Expected, Limits, Needs
from mel.methods.reward_models import LearnedReward, RewardModel
from mel.ports import Ask, Auxiliary, Carrier, Credit, Inspectable, Recall, Steps, Tokenizer
from mel.prompts import PromptSet
from mel.record.metric_names import RESERVED_PHASES as RESERVED_PHASES
from mel.types import Pair, Problem, Sampling, TokenIds
from mel.value_check import faults

WHOLE_SAMPLER = (
    "carrier.settings.samples: 'initial' puts the weights from before training in the policy's place, which a sharded "
    "one (FSDP, DeepSpeed) cannot do: train by DDP or on one GPU, or set it to current"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What a method needs to know of the model and the task.

    Args:
        steps: the task's segmentation of a solution.
        rollout_max_tokens: completion limit of the rollouts; replays get the same unless set otherwise.
        rollout_temperature, rollout_top_p: what the host samples rollouts at; a rollout that an auxiliary adds to a
            group must be sampled alike, or its ratio would be off.
        seed: the run's seed; what an auxiliary draws is seeded per (seed, step, problem).
        inspector: a task that knows true errors and rules; its counts are kept if given.
        problems: the training set, for what draws further problems; empty where nobody has it as a whole.
        ask: how these are put to the model; given wherever `problems` are.
        recall: the experiences of the runs that auxiliaries name (`recalls`); None where nobody can open them.
    """

    tokenizer: Tokenizer
    prompts: PromptSet
    steps: Steps
    rollout_max_tokens: int
    rollout_temperature: float = 1.0
    rollout_top_p: float = 1.0
    seed: int = 0
    inspector: Inspectable | None = None
    problems: Sequence[Problem] = ()
    ask: Ask | None = None
    recall: Recall | None = None

    def rollout_sampling(self, max_tokens: int | None = None) -> Sampling:
        """How the host samples rollouts, with another limit if one is given."""
        limit = self.rollout_max_tokens if max_tokens is None else max_tokens
        return Sampling(max_tokens=limit, temperature=self.rollout_temperature, top_p=self.rollout_top_p)


class Settings(BaseModel):
    """Base of the settings of everything that fills a slot.

    A field's default, its check and its description stand here and nowhere else. Values are not converted: `"2"` is
    no whole number.

    Attributes:
        name: what recipes call it.
        place: what stands before a field in an error; the name unless said otherwise.
        belongs_to: field -> another field and its values under which alone this one does anything. Elsewhere another
            value than the default is refused, for it would be without effect. Limits of tokens are not listed: a
            recipe sets them for all choices that one may turn to.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: ClassVar[str]
    place: ClassVar[str | None] = None
    belongs_to: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {}

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            found = faults(
                error, type(self).model_json_schema(), values, at=self.name if self.place is None else self.place
            )
            raise ValueError("; ".join(found)) from None

    @model_validator(mode="after")
    def _has_effect(self) -> Self:
        for name, (other, values) in self.belongs_to.items():
            default = type(self).model_fields[name].default
            if getattr(self, other) in values or getattr(self, name) == default:
                continue
            named = " or ".join(map(repr, values))
            raise ValueError(
                f"{name} belongs to {other} {named}; set {other}: {' or '.join(values)}, or leave {name} at "
                f"{default!r} (got {getattr(self, other)!r})"
            )
        return self


class CarrierSettings(Settings):
    """Base of every carrier's settings.

    Attributes:
        surrogate: of the carrier, under the name that hosts know it by: they configure themselves before it is built.
    """

    surrogate: ClassVar[str]

    @property
    def samples_initial(self) -> bool:
        """Whether rollouts come from the policy as it was before training."""
        return False

    def build(self, at: Surroundings | None) -> Carrier:
        """The carrier with these settings.

        Args:
            at: None where there are no auxiliaries and thus no surroundings.
        """
        raise TypeError(f"{type(self).__name__} does not define build")


class AskingSettings(Settings):
    """Base of the settings of what may ask for completions, verdicts or log-probabilities.

    Attributes:
        prompts: the files of a prompt set that it reads, without `.txt`; a set that lacks one is refused.
    """

    prompts: ClassVar[tuple[str, ...]] = ()

    def needs(self, limits: Limits) -> Needs:
        """The longest sequence of each phase that it generates or scores in, and the longest row."""
        raise TypeError(f"{type(self).__name__} does not define needs")

    def expected(self, at: Assumptions) -> Expected:
        """What it costs per group under these assumptions; `solution_tokens` is at most the rollouts' limit."""
        raise TypeError(f"{type(self).__name__} does not define expected")

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases it generates in, in their order."""
        return tuple(phase.phase for phase in self.needs(Limits(prompt=1, instruction=1, completion=1)).phases)


class CreditSettings(AskingSettings):
    """Base of every credit rule's settings; one that asks for nothing declares nothing.

    Attributes:
        reads_ledger: it reads the experiences that an auxiliary keeps, and goes with no method that keeps none.
        reads_text: it reads solutions, or asks; a host then prepares text, problems and verdicts as for auxiliaries.
    """

    reads_ledger: ClassVar[bool] = False
    reads_text: ClassVar[bool] = True

    @property
    def replaces_advantages(self) -> bool:
        """Whether the carrier's advantages are not used: then only its surrogate is left of it."""
        return False

    @property
    def reward_model(self) -> RewardModel | None:
        """The process reward model that answers its `Rate` requests; None if it makes none."""
        return None

    @property
    def learned_reward(self) -> LearnedReward | None:
        """The reward model learned beside the policy that answers its `Reward` requests; None if it makes none."""
        return None

    def build(self, at: Surroundings | None) -> Credit:
        """The credit rule with these settings.

        Args:
            at: None where there are no auxiliaries and thus no surroundings.
        """
        raise TypeError(f"{type(self).__name__} does not define build")

    def needs(self, limits: Limits) -> Needs:
        return Needs()

    def expected(self, at: Assumptions) -> Expected:
        return Expected()

    @classmethod
    def surroundings(cls, at: Surroundings | None) -> Surroundings:
        """What a rule that reads text is built with.

        Raises:
            ValueError: there are none.
        """
        if at is None:
            raise ValueError(f"credit {cls.name!r} reads solutions and needs surroundings: build the method with them")
        return at


class AuxiliarySettings(AskingSettings):
    """Base of every auxiliary's settings: what a recipe may set, and what the ring around it must know.

    Attributes:
        label: what tables call the carrier with it; the name unless said otherwise.
        namespace: its counts and rates are the metrics `<namespace>/<key>`; the name unless said otherwise.
        rates: name -> (numerator, denominator) among its counts; a rate without a denominator is left out.
        words: name of a count or a rate -> its title on the report page, and what it measures; a name without any is
            shown as it is written.
        keeps_ledger: its outcomes list candidates in `replayed`, which the run keeps in its experience store.
        changes_groups: its outcomes may replace or add rollouts.
        comes_first: it changes what the others shall learn from, and stands before all of them.
    """

    label: ClassVar[str] = ""
    namespace: ClassVar[str] = ""
    rates: ClassVar[Mapping[str, tuple[str, str]]] = {}
    words: ClassVar[Mapping[str, tuple[str, str]]] = {}
    keeps_ledger: ClassVar[bool] = False
    changes_groups: ClassVar[bool] = False
    comes_first: ClassVar[bool] = False

    @property
    def compares_groups(self) -> bool:
        """Whether it compares groups with each other: hosts refuse it where they show it one group at a time."""
        return False

    @property
    def recalls(self) -> str | None:
        """The directory of an earlier run whose experiences it asks `Surroundings.recall` for; None if it does not."""
        return None

    @property
    def gathers(self) -> int:
        """Generation batches whose groups it learns from at once, at the last of them; 1: from each batch."""
        return 1

    def check(self, *, rollouts: int, problems: Sequence[Problem], inspector: Inspectable | None) -> None:
        """Refuses what could never do anything in such a run; most auxiliaries refuse nothing.

        Args:
            rollouts: per group.
            problems: of the training set.
            inspector: the task, if it knows true errors and rules.

        Raises:
            ValueError: what it needs, what there is, and what to change.
        """

    def writing_context(self, pair: Pair, step: int | None, *, tokenizer: Tokenizer, prompts: PromptSet) -> TokenIds:
        """The prompt after which an experience about this pair is written; empty if none is, or it would be too long.

        Args:
            step: s* of the experience, for those that are told it.
        """
        del pair, step, tokenizer, prompts
        return ()

    def build(self, at: Surroundings) -> Auxiliary:
        """The auxiliary with these settings."""
        raise TypeError(f"{type(self).__name__} does not define build")

    @classmethod
    def prefix(cls) -> str:
        """What stands before its metrics' names."""
        return cls.namespace or cls.name

    @classmethod
    def rates_of(cls, counts: Mapping[str, float]) -> dict[str, float]:
        """Rates, 0 to 1, out of its summed counts; a rate with nothing to count is left out."""
        parts = cls.rates.items()
        return {name: counts.get(top, 0.0) / counts[under] for name, (top, under) in parts if counts.get(under)}

    @classmethod
    def idle(cls, counts: Mapping[str, float]) -> Mapping[str, str] | None:
        """Why a generation batch with these counts, summed over all ranks, gave it nothing to learn.

        Returns:
            A word for each reason -> what to say of it and what to turn, causes first; nothing if it learned or could
            have. None if it had nothing to work with, as when no group was mixed, or if it has no opinion.
        """
        del counts
        return None
