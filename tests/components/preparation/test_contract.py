import pytest

from components.foundation.errors import UserError
from components.preparation.validate import contract as c

FULL = """
name: flights
version: 2
columns:
  - name: id
    type: int64
    text: true
    nullable: false
    tolerate: 0.001
    rules:
      - range: {min: 0, max: 5000}
        tolerate: 0.01
  - name: origin
    type: string
    severity: warning
    rules:
      - one_of: [EWR, JFK]
      - matches: '^[A-Z]+$'
        severity: error
  - {name: time, type: timestamp}
keys:
  - columns: [id]
checks:
  - {name: sane, sql: id > 0}
volume: {min: 10, max: 20}
freshness: {column: time, within_days: 40}
"""


def test_reads_everything_a_contract_may_say() -> None:
    contract = c.parse(FULL)

    number, origin, _ = contract.columns
    assert (contract.name, contract.version) == ("flights", 2)
    assert number == c.Column(
        "id",
        c.Type.INT64,
        text=True,
        nullable=False,
        terms=c.Terms(tolerate=0.001),
        tests=((c.Range(0, 5000), c.Terms(tolerate=0.01)),),
    )
    assert [terms.severity for _, terms in origin.tests] == [c.Severity.WARNING, c.Severity.ERROR]
    assert contract.keys == (c.Key(("id",), c.Terms()),)
    assert (contract.volume.min, contract.volume.max) == (10, 20)
    assert contract.freshness == c.Freshness("time", 40.0)


def test_an_empty_table_is_not_wanted_by_default() -> None:
    assert c.parse("{name: t, columns: [{name: a, type: string}]}").volume.min == 1


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param("volume:", "volumes:", "did you mean 'volume'", id="key"),
        pytest.param("nullable:", "nulable:", "did you mean 'nullable'", id="column key"),
        pytest.param("one_of:", "oneof:", "did you mean 'one_of'", id="rule"),
        pytest.param("type: timestamp", "type: timestmp", "did you mean 'timestamp'", id="type"),
        pytest.param("severity: error", "severity: eror", "did you mean 'error'", id="severity"),
        pytest.param("tolerate: 0.001", "tolerate: 2", "fraction from 0 to 1", id="tolerance"),
        pytest.param("columns: [id]", "columns: [ident]", "'ident' is not declared", id="key of"),
        pytest.param("name: origin", "name: id", "'id' is declared twice", id="twice"),
        pytest.param("{min: 0, max: 5000}", "{}", "neither min nor max", id="empty range"),
        pytest.param("nullable: false", "nullable: 1", "expected true or false", id="flag"),
        pytest.param("name: flights", "name: [", "no YAML", id="yaml"),
        pytest.param("within_days: 40", "within_days: soon", "expected a number", id="number"),
        pytest.param("sql: id > 0", "sql:", "lacks 'sql'", id="lacking"),
    ],
)
def test_refuses_what_it_does_not_know_and_says_what_was_meant(
    old: str, new: str, says: str
) -> None:
    assert old in FULL

    with pytest.raises(UserError, match=says):
        c.parse(FULL.replace(old, new, 1))
