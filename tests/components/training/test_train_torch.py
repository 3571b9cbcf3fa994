import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from kfp import dsl

from components.foundation.tables import TableRef, Tables
from components.training import artifact
from components.training.checkpoints import Saved, StoredCheckpoint
from components.training.train_torch.component import train_torch

ENTRY = "examples.flights.models.torch_mlp:build"

Outputs = tuple[int, dict[str, float]]


class Killed(BaseException):
    """What a signal does."""


@pytest.fixture
def train(
    training: dict[str, Any], tmp_path: pathlib.Path
) -> Callable[..., tuple[pathlib.Path, Outputs]]:
    def run(name: str = "model", entry_point: str = ENTRY, **more: Any) -> Any:
        folder = tmp_path / name
        outputs = train_torch.python_func(
            **{**training, "entry_point": entry_point, **more},
            model=dsl.Model(uri=str(folder)),
            curve=dsl.HTML(uri=str(tmp_path / f"{name}.html")),
            metrics=dsl.Metrics(uri=str(tmp_path / f"{name}.metrics")),
        )
        return folder, outputs

    return run


def _weights(folder: pathlib.Path) -> str:
    return artifact.read(folder).card.weights


def test_writes_a_model_folder_that_says_where_it_comes_from(
    train: Any, training: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    folder, (epochs, summary) = train()

    model = artifact.read(folder)
    assert {p.name for p in folder.iterdir()} == {"program.pt2", "signature.json", "model.json"}
    assert [t.datatype for t in model.signature.inputs] == ["FP32", "FP32", "INT64", "FP32"]
    assert model.card.framework == "torch"
    assert model.card.train == training["train"]
    assert model.card.plan["seed"] == 1
    assert 1 <= epochs <= 3
    assert summary["auc"] > 0.65
    assert summary["log_loss"] < 0.6
    assert "<svg" in (tmp_path / "model.html").read_text()


def test_the_program_takes_any_batch_missing_floats_and_unknown_codes(train: Any) -> None:
    import torch

    folder, _ = train()
    program = torch.export.load(folder / "program.pt2").module()

    for count in (1, 2, 77):
        floats = torch.full((count,), torch.nan)
        answer = program(floats, floats, torch.full((count,), 10**6), floats)
        assert answer.shape == (count,)
        assert ((answer > 0) & (answer < 1)).all()


def test_the_model_holds_no_paths_and_no_rows(train: Any, tmp_path: pathlib.Path) -> None:
    import zipfile

    folder, _ = train()

    with zipfile.ZipFile(folder / "program.pt2") as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    assert b".py" not in content
    assert str(tmp_path).encode() not in content


def test_the_same_seed_gives_the_same_model_and_another_seed_another(train: Any) -> None:
    first, _ = train("first")
    again, _ = train("again")
    other, _ = train("other", seed=2)

    assert (first / "model.json").read_bytes() == (again / "model.json").read_bytes()
    assert (first / "program.pt2").read_bytes() == (again / "program.pt2").read_bytes()
    assert _weights(first) != _weights(other)


def test_rows_in_another_order_and_version_give_the_same_model(
    train: Any, training: dict[str, Any], tables: Tables
) -> None:
    first, _ = train("first")
    ref = TableRef.parse(training["train"])
    rows = tables.read(ref)
    backwards = rows.take(np.arange(len(rows))[::-1])
    again, _ = train("again", train=str(tables.replace(ref, backwards)))
    other, _ = train("other", train=str(tables.replace(ref, rows.slice(1))))

    old, new, less = (artifact.read(folder).card for folder in (first, again, other))
    assert (old.train, new.train) == (f"{ref.uri}@0", f"{ref.uri}@1")
    assert (old.weights, old.data) == (new.weights, new.data)
    assert old.data != less.data


def test_a_killed_step_goes_on_and_gives_the_same_model(
    train: Any, unique: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, _ = train("whole", epochs=4)
    prefix = f"s3://falaj-runs/checkpoints/{unique}"
    put = StoredCheckpoint.put

    def put_and_die(self: StoredCheckpoint, saved: Saved) -> None:
        put(self, saved)
        if len(json.loads(saved.history)) == 2:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(StoredCheckpoint, "put", put_and_die)
        with pytest.raises(Killed):
            train("killed", epochs=4, checkpoint=prefix)
    capsys.readouterr()
    resumed, _ = train("resumed", epochs=4, checkpoint=prefix)

    assert "resumed after epoch 2" in capsys.readouterr().out
    assert _weights(resumed) == _weights(whole)


def test_a_checkpoint_of_other_inputs_is_not_taken(
    train: Any, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = f"s3://falaj-runs/checkpoints/{unique}"
    train("first", checkpoint=prefix)
    capsys.readouterr()
    train("second", checkpoint=prefix, seed=5)

    assert "resumed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def build(spec): raise ValueError('no such carrier')", "your code failed"),
        ("def build(spec): return 7", "returned int; expected a torch.nn.Module"),
        (
            "import torch\n"
            "class Wide(torch.nn.Module):\n"
            "    def __init__(self):\n"
            "        super().__init__()\n"
            "        self.a = torch.nn.Linear(1, 1)\n"
            "    def forward(self, **inputs):\n"
            "        return self.a(inputs['hour'].unsqueeze(1))\n"
            "def build(spec): return Wide()",
            r"shape (3, 1); expected one number a row, shape (3,)",
        ),
        (
            "import torch\n"
            "class Careless(torch.nn.Module):\n"
            "    def __init__(self):\n"
            "        super().__init__()\n"
            "        self.a = torch.nn.Linear(1, 1)\n"
            "    def forward(self, **inputs):\n"
            "        return self.a(inputs['wind'].unsqueeze(1)).squeeze(1)\n"
            "def build(spec): return Careless()",
            "epoch 1: the loss is nan",
        ),
    ],
    ids=["raises", "type", "shape", "missing floats"],
)
def test_a_function_at_fault_ends_the_step_with_exit_code_2(
    train: Any, user_code: Any, capsys: pytest.CaptureFixture[str], code: str, message: str
) -> None:
    module = user_code(code)

    with pytest.raises(SystemExit) as ended:
        train(entry_point=f"{module}:build")

    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_class_weights_shift_the_scores(train: Any) -> None:
    import torch

    plain, _ = train("plain")
    balanced, _ = train("balanced", class_weight="balanced")
    some = torch.linspace(0, 20, 50)
    code = torch.zeros(50, dtype=torch.int64)

    means = [
        float(
            np.mean(
                torch.export.load(f / "program.pt2")
                .module()(some, some, code, some)
                .detach()
                .numpy()
            )
        )
        for f in (plain, balanced)
    ]
    assert means[1] > means[0] + 0.1


def _rents(tables: Tables, unique: str, seed: int) -> str:
    """Yearly rents of some ten thousands: 1,000 a square metre, give or take 9,000."""
    random = np.random.default_rng(seed)
    wind, carrier = random.normal(100, 25, 2000), random.integers(0, 6, 2000)
    rent = 20_000 + 1000 * wind + random.normal(0, 9000, 2000)
    columns = {"wind": wind, "hour": random.random(2000), "carrier_code": carrier}
    columns |= {"seats": carrier + 50, "rent": rent}
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    return str(tables.replace(TableRef("falaj-features", f"{unique}/rents{seed}"), table))


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_a_regression_answers_in_the_labels_own_unit(
    train: Any, tables: Tables, unique: str, loss: str
) -> None:
    import torch

    given = {name: _rents(tables, unique, i) for i, name in enumerate(("train", "validation"))}
    plan = {"epochs": 12, "learning_rate": 0.01, "task": "regression", "loss": loss}
    parameters = {"dropout": 0.0}
    folder, (_, summary) = train(**given, **plan, label="rent", parameters=parameters)

    model = artifact.read(folder)
    program = torch.export.load(folder / "program.pt2").module()
    square_metres = torch.tensor([80.0, 120.0])
    answer = program(square_metres, torch.rand(2), torch.tensor([1, 1]), torch.tensor([51, 51]))
    assert model.signature.outputs[0].name == "prediction"
    assert answer.detach().numpy() == pytest.approx([100_000, 140_000], rel=0.1)
    assert 8_000 < summary["rmse"] < 12_000
    assert summary["r2"] > 0.8
    low, high = model.card.band or (0, 0)
    assert -20_000 < low < -10_000 < 10_000 < high < 20_000
    assert (model.card.plan["task"], model.card.plan["loss"]) == ("regression", loss)
