"""Which searches are rescored in the shadow."""

from pipelines.plan import Plan
from sidecar.adoption.shadow_limits import ShadowAdmission


def plan(**limits: float) -> Plan:
    return Plan.model_validate(
        {
            "document": {"body": "t"},
            "stages": [{"model": "m"}],
            "mode": "shadow",
            "shadow": limits or None,
        }
    )


def test_share_concurrency_and_rate() -> None:
    now, drawn = [0.0], [0.0]
    plans = {"p": plan(share=0.5, rate=2, concurrency=2), "default": plan()}
    admission = ShadowAdmission(plans, lambda: now[0], lambda: drawn[0])
    drawn[0] = 0.5
    assert admission.enter("p") == "share"
    drawn[0] = 0.49
    assert admission.enter("p") is None
    assert admission.enter("p") is None
    assert admission.enter("p") == "concurrency"
    admission.leave("p")
    assert admission.enter("p") == "rate"
    now[0] = 0.5
    assert admission.enter("p") is None
    assert admission.enter("default") is None
