"""All is asked, each reason is told once, and nothing is waited for without end."""

import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from components.foundation.errors import InfrastructureError, Refused, UserError
from components.governance.doctor.interface import Finding, Status
from tests.components.governance.doctor import fit
from tests.components.governance.doctor.fit import Case

NAMESPACE = f"/api/v1/namespaces/{fit.HOME}"
SETTINGS = f"/api/v1/namespaces/kserve/configmaps/{fit.CONFIG}"
CLASS = "/apis/storage.k8s.io/v1/storageclasses/falaj"
DENIED = Refused("GET Secret: forbidden; the identity needs get", code="kubernetes-forbidden")


def test_what_is_about_something_that_is_not_there_is_not_asked() -> None:
    case = Case()
    for path in (NAMESPACE, fit.GATEWAY, SETTINGS):
        case.api.at.pop(path)

    found = case.findings()

    gone = {"Pod Security of falaj", "law of namespace falaj", "Gateway falaj class", "KServe mode"}
    assert not gone & set(found)


def test_the_same_reason_is_told_once() -> None:
    case = Case()
    case.api.at[SETTINGS] = DENIED

    found = case.findings()

    assert found["KServe settings"].got == str(DENIED)
    assert found["KServe mode"].got == "for the same reason as KServe settings"


def test_an_api_that_does_not_know_who_asks_ends_it() -> None:
    case = Case()
    case.api.at["/version"] = DENIED

    with pytest.raises(Refused, match="forbidden"):
        case.findings()


@pytest.mark.parametrize("answer", [None, {}], ids=["nothing", "empty"])
def test_what_is_no_kubernetes_api_is_called_so(answer: Any) -> None:
    case = Case()
    case.api.at["/version"] = answer

    with pytest.raises(UserError, match="no Kubernetes API; name the API server itself"):
        case.findings()


def test_an_api_that_stops_answering_ends_it() -> None:
    case = Case()
    down = InfrastructureError("GET: did not answer", code="kubernetes-unreachable")
    case.api.at[CLASS] = down

    with pytest.raises(InfrastructureError, match="did not answer"):
        case.findings()


def test_what_the_api_fails_at_is_told_and_is_no_good_end() -> None:
    case = Case()
    case.api.at[CLASS] = InfrastructureError("GET: failed (500)", code="kubernetes-failed")
    told: list[Finding] = []

    with pytest.raises(InfrastructureError, match="1 failed, the first is StorageClass") as ended:
        told.extend(case.examined())

    assert ended.value.code == "doctor-unfinished"
    assert [one.what for one in told if one.status is Status.UNKNOWN] == [
        "StorageClass falaj",
        "buckets",
    ]
    assert told[-1].check == "pipelines"


def test_an_answer_that_hangs_is_not_waited_for() -> None:
    case, hangs = Case(), threading.Event()
    case.api.find = functools.partial(_hanging, case.api.find, CLASS, hangs)  # type: ignore[method-assign]
    told: list[Finding] = []

    with pytest.raises(InfrastructureError, match=r"StorageClass falaj: no answer within 0\.3 s"):
        told.extend(case.examined("storage", "gateway", one_s=0.3))

    hangs.set()
    assert told[-1].check == "gateway"


def test_an_api_that_hangs_is_called_unreachable() -> None:
    case, hangs = Case(), threading.Event()
    case.api.find = functools.partial(_hanging, case.api.find, "/version", hangs)  # type: ignore[method-assign]

    with pytest.raises(InfrastructureError, match="Kubernetes API: no answer within") as ended:
        next(case.examined("gateway", one_s=0.1))

    hangs.set()
    assert ended.value.code == "kubernetes-unreachable"


def test_a_slow_api_is_left_when_all_time_is_up() -> None:
    with pytest.raises(InfrastructureError, match="more than 0 s, at API server"):
        list(Case().examined(all_s=0))


def _hanging(find: Callable[[str], Any], at: str, until: threading.Event, path: str) -> Any:
    if path == at:
        until.wait(60)
    return find(path)
