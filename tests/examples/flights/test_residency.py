"""The main job is held to residency before anything of it exists."""

import pathlib

import pytest

from examples.flights.__main__ import main

SITE = pathlib.Path(__file__).parents[3] / "pipelines/sites/laptop.yaml"


def test_a_site_that_keeps_its_objects_abroad_stops_the_job_before_a_byte_moves(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    abroad = SITE.read_text().replace("provider: on-premises", "provider: aws")
    site = tmp_path / "site.yaml"
    site.write_text(abroad.replace("region: laptop", "region: me-south-1"))

    assert main(["--site", str(site), "--out", str(tmp_path / "out")]) == 3

    assert "me-south-1 at aws is Bahrain (BH)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
