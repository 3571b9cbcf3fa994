"""A story that is made up, with long and Arabic names wherever names can be long."""

import math

from components.foundation.cost import Cost
from components.foundation.verdict import Decision, Verdict
from components.governance.report.story import (
    Audit,
    Curve,
    Effect,
    Judged,
    Measure,
    Point,
    Quarantined,
    Release,
    Rollout,
    Stage,
    Step,
    Story,
    Table,
    Window,
)

DIGEST = "sha256:" + "4f2a" * 16
ARABIC = "الاتحاد للطيران: رحلات وصلت متأخرة من مطار أبوظبي الدولي"
LONG = "a_column_or_rule_whose_name_somebody_made_" + "very_" * 30 + "long"
RAW, CURATED = "s3://falaj-raw/flights@3", "s3://falaj-curated/flights@7"
ARABIC_TABLE = f"s3://falaj-curated/{ARABIC.replace(' ', '_')}@0"
TEST, TRAIN = "s3://falaj-features/delays-test@0", "s3://falaj-features/delays-train@0"
OBSERVED = "s3://falaj-curated/observations/delays@1"
CHAMPION, FAULTY, TAMPERED = (
    f"sealed+s3://falaj-models/delays/{v}" for v in ("9bc09bc09bc0", "17de17de17de", "c0ffeec0ffee")
)


def verdict(subject: str, decision: Decision, reason: str, **evidence: object) -> Verdict:
    return Verdict(subject, decision, reason, evidence, DIGEST, "2026-11-24T00:00:00.000+00:00")


RESIDENCY = verdict(
    "residency laptop",
    Decision.ACCEPT,
    "data stay in AE (declared)",
    legal_basis="Federal Decree-Law 45/2021",
    declared=["laptop in AE"],
    findings=[],
)
CONTRACT = verdict(
    f"contract {ARABIC}",
    Decision.ACCEPT,
    "1.1 % of rows kept back, 2 % allowed",
    rules=[{"rule": LONG, "broken": 4.0, "expected": f"{ARABIC} < 5 & more"}],
    version=1,
)
BLESSED = verdict(
    "bless delays",
    Decision.ACCEPT,
    "AUC is higher by 0.21 [0.20, 0.22] on the same 81,230 rows",
    difference={"auc": {"estimate": 0.21, "low": 0.2, "high": 0.22}},
)
PROMOTED = verdict("rollout a -> b", Decision.PROMOTE, "no worse at any weight", alpha=0.01)
ROLLED_BACK = verdict(
    "rollout b -> c", Decision.ROLL_BACK, "9.8 % errors against 0.1 %", alpha=0.01, e_value=178.25
)
REFUSED = verdict(f"deploy {TAMPERED}", Decision.REFUSE, "model.onnx: not what was sealed")
DRIFTED = verdict("drift delays", Decision.DRIFT, "2 of 28 columns drifted")
PERFORMANCE = verdict("performance delays", Decision.STABLE, "AUC is at least 0.6 in all windows")


def story() -> Story:
    return Story(
        title="Flights: who will arrive late?",
        run_id="flights-20261124T132807-a4c1",
        started="2026-11-24T13:28:07.000+00:00",
        seconds=138.4,
        project="flights",
        code="df33abb190f2da10",
        stages=_stages(),
        tables=_tables(),
        quarantine=(
            Quarantined("flights", "departure between 0 and 2400 & known", 1_204, CURATED),
            Quarantined(ARABIC, ARABIC, 377, ARABIC_TABLE),
            Quarantined("flights", LONG, 2_018, CURATED),
        ),
        curves=(
            Curve(
                "torch",
                (1, 2, 3),
                {"training loss": (0.6, 0.55, 0.54), "validation loss": (0.58, 0.53, None)},
                2,
                TRAIN,
            ),
        ),
        verdicts=(
            Judged(RESIDENCY, 1, "Attest residency", "Train with torch", "run-1"),
            Judged(CONTRACT, 2, "Validate flights", "Train with torch", "run-1"),
            Judged(BLESSED, 5, "Bless", "Train with torch", "run-1"),
            Judged(PROMOTED, 9, "Roll out", "Roll out a better candidate", "run-2"),
            Judged(ROLLED_BACK, 12, "Roll out", "Roll out a faulty candidate", "run-3"),
            Judged(REFUSED, 13, "Deploy dark", "Roll out a tampered candidate", "run-4"),
            Judged(DRIFTED, 20, "Detect drift", "Monitor month 8", "run-5"),
            Judged(PERFORMANCE, 21, "Measure performance", "Monitor month 8", "run-5"),
        ),
        evaluations=_evaluations(),
        blessings=(Judged(BLESSED, 5, "Bless", "Train with torch", "run-1"),),
        rollouts=_rollouts(),
        windows=_windows(),
        releases=(
            Release(
                "delays", "9bc09bc09bc0", DIGEST, CHAMPION, "champion", "83" * 32, DIGEST,
                made_by="run-1", tables=(TEST, TRAIN), entry=6,
            ),
            Release("delays", "17de17de17de", DIGEST, FAULTY, "rolled back", "83" * 32, DIGEST,
                    made_by=CHAMPION),
            Release("delays", "c0ffeec0ffee", DIGEST, TAMPERED, "never started", "83" * 32, DIGEST,
                    problem="model.onnx: sealed bytes have another digest", made_by=CHAMPION),
        ),
        residency=(Judged(RESIDENCY, 1, "Attest residency", "Train with torch", "run-1"),),
        audit=Audit(21, DIGEST, 8),
    )  # fmt: skip


def _stages() -> tuple[Stage, ...]:
    steps = (
        Step("Ingest flights", 6.2, cost=Cost(6.1, 4.5, 337_211_392, 336_776, 27_342_112, 9, 100)),
        Step(LONG, 3.0, cached=True),
        Step(ARABIC, 0.1, cost=Cost(0.1, 0.05, 78_000_128)),
    )
    moved = (Step("Roll out", 4.0, cost=Cost(3.9, 0.2, 198_000_640)),)
    return (
        Stage("Set up the sources", seconds=0.7),
        Stage("Train with torch", ("run-1",), 31.7, steps=steps),
        Stage(f"Roll out {ARABIC}", ("run-2",), 24.0, skipped=True, steps=moved),
        Stage("Roll out a faulty candidate", ("run-3",), 4.0, state="refused", error="gate: no"),
    )


def _tables() -> tuple[Table, ...]:
    return (
        Table(RAW, 336_776, "Ingest flights", "run-1", ("sqlite:airline.db/flights",)),
        Table(ARABIC_TABLE, 12, f"Curate {ARABIC}", "run-1", (RAW,), 377),
        Table(CURATED, 333_177, "Curate flights", "run-1", (RAW, ARABIC_TABLE), 3_222),
        Table(TRAIN, 164_020, "Split", "run-1", (CURATED,)),
        Table(TEST, 81_230, "Split", "run-1", (CURATED,)),
        Table(OBSERVED, None, "Score", "run-2", (CHAMPION, CURATED)),
    )


def _evaluations() -> tuple[Measure, ...]:
    slices = [("origin=EWR", 0.71), (f"carrier={ARABIC}", 0.69), (f"{LONG}=1", 0.68)]
    return (
        Measure("torch", "auc", 0.7134123456, 0.7091, 0.7177, rows=81_230, entry=5, table=TEST),
        Measure("torch", "log_loss", 0.491, 0.488, 0.494, rows=81_230, entry=5, table=TEST),
        Measure(LONG, "auc", 0.7211, 0.7168, 0.7254, rows=81_230, table=TEST),
        *(
            Measure("torch", "auc", v, v - 0.01, v + 0.01, name, 9_000, 5, TEST)
            for name, v in slices
        ),
    )


def _rollouts() -> tuple[Rollout, ...]:
    better = [
        Point(
            2.0 * i,
            400 * i,
            (0.0, 5.0, 25.0, 50.0, 100.0)[min(i // 3, 4)],
            0.001,
            0.001,
            1 / (1 + i),
        )
        for i in range(1, 16)
    ]
    faulty = [
        Point(
            1.0 * i, 120 * i, 5.0 if i < 9 else 0.0, 0.0012, 0.1 - 0.02 / i, math.pow(10, 0.25 * i)
        )
        for i in range(1, 11)
    ]
    return (
        Rollout("a better candidate", PROMOTED, CHAMPION, 9, tuple(better), {"200": 5_000}),
        Rollout(
            LONG,
            ROLLED_BACK,
            FAULTY,
            12,
            tuple(faulty),
            {"200": 900, "500": 5},
            {"200": 40},
            {"median": 1.24, "p99": 6.5},
        ),
        Rollout(ARABIC, REFUSED, TAMPERED, 13),
    )


def _windows() -> tuple[Window, ...]:
    moved = (Effect("temperature", 0.31), Effect(LONG, 0.15), Effect(ARABIC, 0.13))
    more = (*moved, Effect("visibility", 0.11))
    return (
        Window("2013-08", "stable", (), "auc", 0.712, 0.705, 0.719, 0.998, 29_373, "holds", 20, 21),
        Window("2013-09", "drift", more, "", None, None, None, 0.0, 27_521, "waits", 20, 21),
        Window("live/delays", "drift", moved, "auc", 0.69, 0.67, 0.7, 0.97, 6_000, "holds", 20, 21,
               dated=False),
    )  # fmt: skip
