"""Judge a table by its contract, in one pass over its cached files.

Reads: a table. Writes: a verdict, a page with every rule's counts; nothing about single rows.
Needs: the object store; DuckDB's memory limit of 1 GB.
Fails when: the contract has a typo, names a column that the table lacks, or there is no such
table (exit 2). Broken data is no failure: the verdict says so, and `gate` acts on it.
"""

from typing import NamedTuple

from kfp import dsl

from components.face import component


@component("data")
def validate(
    table: str,
    contract: str,
    report: dsl.Output[dsl.HTML],
    as_of: str = "",
) -> NamedTuple("Outputs", [("verdict", dict), ("decision", str)]):
    """Judge a table by its contract; the verdict says accept or refuse.

    Args:
        table: reference of the table, e.g. s3://falaj-raw/flights@latest.
        contract: the contract's YAML text: columns, keys, checks, volume, freshness.
        report: page with the counts of every rule.
        as_of: time against which freshness is measured, RFC 3339; empty: not measured.

    Returns:
        verdict: the judgement with every rule's counts.
        decision: accept or refuse.
    """
    from components.preparation.validate import check
    from components.preparation.validate import contract as contracts
    from components.preparation.validate.report import render
    from components.step import step

    with step("validate") as here:
        promised = contracts.parse(contract)
        files = here.tables.files(here.reads(table), here.cache)
        verdict = here.record(check.check(files, promised, as_of=as_of))
        rows, decision = verdict.evidence["rows"], str(verdict.decision)
        here.publish(report, render(verdict), rows=rows, decision=decision)
        return (verdict.to_dict(), decision)
