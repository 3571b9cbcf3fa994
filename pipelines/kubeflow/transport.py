"""The way to KFP's API, beneath its typed client: what is repeated, and what is never believed.

The client that kfp brings follows redirects into login pages, takes such a page for an empty
object, and repeats nothing or everything. Here a redirect is an answer, only JSON is KFP's, and a
request is sent again only if it can do no harm.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import urllib3
from kfp_server_api import ApiClient, ApiException, Configuration
from kfp_server_api.rest import RESTClientObject

from components.foundation.errors import FalajError
from pipelines.kubeflow import failures
from pipelines.kubeflow.failures import Asked
from pipelines.kubeflow.identity import Identity
from pipelines.kubeflow.proxy import Proxy

PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)
_LONGEST_PAUSE = 30.0
_TIMEOUT_S = (5, 60)  # to connect, to answer
_ONCE = urllib3.Retry(0, redirect=0, raise_on_redirect=False)


def connected(address: str, identity: Identity, proxy: Proxy | None) -> ApiClient:
    """Return a client that speaks to an address as an identity, by our transport alone."""
    settings = configuration(address, identity, proxy)
    api = Api(settings)
    api.rest_client = Transport(settings, identity, proxy)
    return api


def configuration(address: str, identity: Identity, proxy: Proxy | None) -> Configuration:
    """Say where KFP is and whom to believe; refuse to send a secret in clear."""
    identity.hold(address)
    made = Configuration(host=address)
    made.retries = _ONCE
    made.verify_ssl = not identity.unsafe_skip_tls_verification
    made.ssl_ca_cert = str(identity.authorities) if identity.authorities else None
    if proxy is not None:
        made.proxy, made.proxy_headers = proxy.address, proxy.headers()
    return made


class Api(ApiClient):  # type: ignore[misc]  # kfp_server_api has no types
    """Reads answers; one that is not as KFP describes it is one of our errors."""

    def deserialize(self, response: Any, response_type: Any) -> Any:
        """Make an answer what its description says; a number for a date is none."""
        try:
            return super().deserialize(response, response_type)
        except (ApiException, AttributeError, KeyError, TypeError, ValueError) as error:
            raise failures.unreadable(str(response_type), type(error).__name__) from error


class Transport(RESTClientObject):  # type: ignore[misc]  # kfp_server_api has no types
    """Sends requests as an identity; every failure is one of our errors."""

    def __init__(
        self, settings: Configuration, identity: Identity, proxy: Proxy | None = None
    ) -> None:
        super().__init__(settings)
        self._identity, self._proxy = identity, proxy

    def request(self, method: str, url: str, **given: Any) -> Any:
        """Send a request, again if it may be, and return an answer that is KFP's."""
        asked = Asked(method, url, self._identity, self._proxy)
        headers = {**(given.pop("headers", None) or {}), **self._identity.headers()}
        given["_request_timeout"] = _TIMEOUT_S
        pauses = iter(PAUSES)
        while True:
            try:
                answer = super().request(method, url, headers=dict(headers), **given)
            except ApiException as error:
                wait = _wait(asked, error)
                self._sleep(wait, pauses, failures.answered(asked, error), error)
            except urllib3.exceptions.HTTPError as error:
                wait = 0.0 if _may_go_again(asked, error) else None
                self._sleep(wait, pauses, failures.unanswered(asked, error), error)
            else:
                return _ours(asked, answer)

    def _sleep(
        self, wait: float | None, pauses: Iterator[float], told: FalajError, error: Exception
    ) -> None:
        """Wait as long as asked and at least our next pause; without one left, say what failed."""
        pause = next(pauses, None)
        if wait is None or pause is None:
            raise told from error
        time.sleep(max(wait, pause))


def _wait(asked: Asked, error: ApiException) -> float | None:
    """Return how long to wait before the same again, or None where it must not be sent again."""
    busy = asked.method == "GET" and error.status in failures.BUSY
    if not busy and error.status != failures.REJECTED:
        return None
    asks = (error.headers or {}).get("retry-after", "0")
    return min(float(asks), _LONGEST_PAUSE) if asks.isdecimal() else 0.0


def _may_go_again(asked: Asked, error: urllib3.exceptions.HTTPError) -> bool:
    if failures.in_vain(error):
        return False
    return asked.method == "GET" or failures.never_sent(error)


def _ours(asked: Asked, answer: Any) -> Any:
    content = answer.getheader("content-type", "")
    if "json" not in content:
        raise failures.unexpected(asked, content)
    try:
        whole = json.loads(answer.data)
    except ValueError as error:
        raise failures.unreadable(str(asked), "it ends too early") from error
    if not isinstance(whole, dict):
        raise failures.unreadable(str(asked), f"a {type(whole).__name__}, not an object")
    return answer
