import pytest

from components.foundation.errors import UserError
from components.foundation.sealing.paths import check_paths


def test_takes_plain_names() -> None:
    check_paths(["model.onnx", "variables/data-0_1.bin", "a/b/c.0", "_x", "a" * 512])


@pytest.mark.parametrize(
    "path",
    [
        "",
        "..",
        "a/../b",
        "/etc/passwd",
        "C:\\model",
        "a//b",
        "a/",
        "./a",
        "a/.hidden",
        "a\0b",
        "a\nb",
        "a b",
        "caf\u00e9",
        "cafe\u0301",
        "\uff4dodel",
        "model\u200b",
        "release.json",
        "MODEL.SIG",
        "a" * 513,
    ],
)
def test_refuses_what_could_leave_or_deceive(path: str) -> None:
    with pytest.raises(UserError, match="not a path of a release"):
        check_paths(["model.onnx", path])


@pytest.mark.parametrize(
    ("paths", "says"),
    [
        (["a/b", "A/c"], "'A' and 'a': differ only in case"),
        (["model", "Model"], "'Model' and 'model': differ only in case"),
        (["a", "a/b"], "'a': is a file and the folder of 'a/b'"),
        (["a/b/c", "a/b"], "'a/b': is a file and the folder of 'a/b/c'"),
    ],
)
def test_refuses_twins(paths: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        check_paths(paths)
