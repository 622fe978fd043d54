"""Which index gets which plan, or which plans, and how callers are divided among them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from pipelines.strict import Strict

OFF: Final = "off"
"""The arm, or team, with OpenSearch's own order."""


class ByHeader(Strict):
    header: str = Field(min_length=1, max_length=100, pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    """Name of the header whose value chooses the arm."""


class ByCookie(Strict):
    cookie: str = Field(min_length=1, max_length=100, pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    """Name of the cookie whose value chooses the arm."""


def is_off(name: object) -> bool:
    """Whether a name in a configuration is `off`; YAML reads a bare `off` as false."""
    return name is False or name in (OFF, "False")


def _read_shares(value: object) -> object:
    if isinstance(value, dict):
        return {OFF if is_off(name) else name: share for name, share in value.items()}
    return value


def _read_teams(value: object) -> object:
    if isinstance(value, list | tuple):
        return tuple(OFF if is_off(name) else name for name in value)
    return value


_PlanName = Annotated[str, Field(min_length=1)]
_Percent = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Shares = Annotated[dict[_PlanName, _Percent], BeforeValidator(_read_shares)]
# YAML reads a bare `off` as false.
_TeamName = _PlanName | Literal[False]
Teams = Annotated[
    tuple[_PlanName, _PlanName],
    BeforeValidator(_read_teams, json_schema_input_type=tuple[_TeamName, _TeamName]),
]


_ONE_CHOICE: Final[list[JsonValue]] = [
    {"required": [key]} for key in ("plan", "split", "interleave")
]


class Route(Strict):
    model_config = ConfigDict(json_schema_extra={"oneOf": _ONE_CHOICE})

    index: str = Field(min_length=1)
    """Index or alias as clients write it; `*` and `?` match as in a file name."""

    plan: _PlanName | None = None
    """Name of the plan that its searches get. A route has `plan`, `split` or `interleave`."""

    split: Shares | None = None
    """Percentage of callers for each plan; together 100. `off` stands for OpenSearch's order."""

    by: ByHeader | ByCookie | Literal["caller"] | None = None
    """What a `split` divides: `caller` (the credentials, else the client's address; the default),
    `{header: NAME}` or `{cookie: NAME}`. The same value always gets the same plan. A request
    without the header or cookie is divided by caller."""

    interleave: Teams | None = None
    """Two plans whose orders are mixed into one by team draft; one of them may be `off`. Both need
    the same `rescore_window`, `document` and `group_by`."""

    def matches(self, name: str) -> bool:
        """Whether the route applies to one name of a client's index list."""
        return fnmatchcase(name, self.index)

    @property
    def plans(self) -> tuple[str, ...]:
        """The names of its plans, without `off`."""
        names = self.split or self.interleave or (self.plan,)
        return tuple(name for name in names if name is not None and (name != OFF or self.plan))

    @property
    def name(self) -> str:
        """The plan's name; the names of both plans of `interleave`, joined by `+`."""
        if self.interleave is not None:
            return "+".join(self.interleave)
        return self.plans[0]

    @model_validator(mode="after")
    def _has_one_choice(self) -> Self:
        if sum(one is not None for one in (self.plan, self.split, self.interleave)) != 1:
            raise ValueError("give one of plan, split and interleave")
        if self.by is not None and self.split is None:
            raise ValueError("by is for a split")
        if self.split is not None:
            total = sum(self.split.values())
            if abs(total - 100) > 1e-6:
                raise ValueError(f"the percentages of split are together 100, not {total:g}")
            if not self.plans:
                raise ValueError("split needs a plan besides off")
        if self.interleave is not None and self.interleave[0] == self.interleave[1]:
            raise ValueError("interleave needs two different plans")
        return self
