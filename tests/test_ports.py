"""Servers of several workers never want one port."""

import socket

from tests import ports


def test_no_two_workers_have_a_port_in_common_and_none_is_lent_by_linux() -> None:
    of = [set(ports.of_worker(f"gw{number}", workers=3)) for number in range(3)]

    assert sum(map(len, of)) == len(set.union(*of))
    assert all(len(one) > 800 for one in of)
    assert max(set.union(*of)) < 32_768


def test_a_port_is_free_and_not_given_again_soon() -> None:
    given = [ports.free() for _ in range(100)]

    assert len(set(given)) == 100
    with socket.create_server(("127.0.0.1", given[-1])):
        pass


def test_a_port_that_is_taken_is_passed_over() -> None:
    taken = ports.free()
    with socket.create_server(("127.0.0.1", taken)):
        given = {ports.free() for _ in ports._OURS}

    assert taken not in given
