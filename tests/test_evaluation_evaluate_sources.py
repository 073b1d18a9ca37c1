"""Models from everywhere are evaluated as the objects they were: ONNX with its real runtime, a real MLflow registry, XGBoost's files, skops, pickles, columns."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingRegressor, IsolationForest, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from typer.testing import CliRunner

from mlnb.cli import app
from mlnb.core.errors import InputError
from mlnb.evaluation.evaluate_files import evaluate_files
from mlnb.evaluation.model_files import OnnxFile, open_model

N = 400
rng = np.random.default_rng(0)
F = pd.DataFrame({"income": rng.normal(3000, 500, N).round(2), "age": rng.integers(18, 80, N), "region": rng.choice(["north", "south", "east"], N)})
Z = (F["income"] - 3000) / 500 + (F["region"] == "north") + rng.normal(0, 0.8, N)
Y = {"two": np.where(Z > 0.3, "yes", "no"), "three": np.select([Z < -0.5, Z < 0.8], ["low", "mid"], "high"), "number": Z.to_numpy() * 10 + 5,
     "zero": (Z > 0.3).astype(int).to_numpy()}  # fmt: skip
B = F[["income", "age"]].astype(float)  # a block of numbers
COLUMNS = [("income", "float"), ("age", "int64"), ("region", "string")]


def command(*words: object) -> tuple[int, dict[str, Any]]:
    """`mlnb evaluate … --json`: its exit code and its one document."""
    found = CliRunner().invoke(app, ["evaluate", *map(str, words), "--resamples", "100", "--json"])
    assert "Traceback" not in found.output and "defect" not in found.output
    return found.exit_code, json.loads(found.stdout)


def pipe(last: Any, y: str) -> Any:
    made = make_column_transformer((make_pipeline(SimpleImputer(), StandardScaler()), ["income", "age"]), (OneHotEncoder(handle_unknown="ignore"), ["region"]))
    return make_pipeline(made, last).fit(F, Y[y])


@pytest.fixture
def graph(tmp_path: Path) -> Callable[..., Path]:
    """A fitted model as an ONNX file: inputs as name, kind and width, and how probabilities are given."""
    skl2onnx = pytest.importorskip("skl2onnx", reason="the extra dev has skl2onnx")
    kinds = {"float": skl2onnx.common.data_types.FloatTensorType, "int64": skl2onnx.common.data_types.Int64TensorType,
             "string": skl2onnx.common.data_types.StringTensorType, "double": skl2onnx.common.data_types.DoubleTensorType}  # fmt: skip

    def write(model: Any, inputs: list[tuple[str, str]] | str, width: int | None = 1, zipmap: Any = None) -> Path:
        pairs = [(name, kinds[kind]([None, width])) for name, kind in ([("X", inputs)] if isinstance(inputs, str) else inputs)]
        options = None if zipmap is None else {id(model): {"zipmap": zipmap}}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = skl2onnx.convert_sklearn(model, initial_types=pairs, options=options, target_opset={"": 17, "ai.onnx.ml": 3})
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.onnx"
        path.write_bytes(made.SerializeToString())
        return path

    return write


@pytest.mark.parametrize("zipmap", [True, False, "columns"])
@pytest.mark.parametrize("y", ["two", "three"])
def test_a_pipeline_of_mixed_columns_answers_from_onnx_as_it_does_itself(graph: Callable[..., Path], y: str, zipmap: Any) -> None:
    model = pipe(LogisticRegression(), y)
    opened = open_model(graph(model, COLUMNS, zipmap=zipmap))
    assert np.allclose(opened.predict_proba(F), model.predict_proba(F), atol=1e-5) and opened.classes_.tolist() == model.classes_.tolist()
    assert opened.predict(F).tolist() == model.predict(F).tolist()


def test_the_metrics_of_a_graph_are_those_of_the_model_for_function_and_command(graph: Callable[..., Path], tmp_path: Path) -> None:
    model = pipe(LogisticRegression(), "two")
    file, rows = graph(model, COLUMNS), F.assign(y=Y["two"])
    ours, theirs = (evaluate_files(rows, "y", m, n_resamples=100).metrics for m in (file, model))
    assert {name: m["value"] for name, m in ours.items()} == pytest.approx({name: m["value"] for name, m in theirs.items()}, abs=1e-5)
    rows.to_csv(tmp_path / "t.csv", index=False)
    code, said = command("--model", file, "--data", tmp_path / "t.csv", "--target", "y")
    assert code == 0 and said["metrics"]["roc_auc"]["value"] == pytest.approx(theirs["roc_auc"]["value"], abs=1e-5)


@pytest.mark.parametrize(("model", "y", "kind", "width"), [
    (GradientBoostingRegressor(n_estimators=5), "number", "float", 2), (LinearRegression(), "number", "double", None),
    (RandomForestClassifier(5, random_state=0), "three", "double", 2), (RandomForestClassifier(5, random_state=0), "zero", "float", 2)])  # fmt: skip
def test_a_block_of_numbers(graph: Callable[..., Path], model: Any, y: str, kind: str, width: int | None) -> None:
    model = model.fit(B.to_numpy(np.float32), Y[y])
    opened = open_model(graph(model, kind, width, None if y == "number" else False))
    name = "predict_proba" if hasattr(model, "predict_proba") else "predict"
    assert np.allclose(getattr(opened, name)(B), getattr(model, name)(B.to_numpy(np.float32)), atol=1e-4) and hasattr(opened, "predict_proba") == (y != "number")
    made = evaluate_files(B.assign(y=Y[y]), "y", opened, n_resamples=100)
    assert made.task == {"number": "regression", "three": "multiclass", "zero": "binary"}[y]
    assert width is None or made.facts["notes"] == ["The model tells its columns by their place; it was given income, age, in this order."]


def test_a_block_of_strings_and_numbers_given_as_strings(graph: Callable[..., Path]) -> None:
    words = F[["region"]].assign(code=np.arange(N) % 3)
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(words.astype(str).to_numpy(), Y["two"])
    opened = open_model(graph(model, "string", 2, False))
    assert np.allclose(opened.predict_proba(words), model.predict_proba(words.astype(str).to_numpy()), atol=1e-5)


@pytest.mark.parametrize("y", ["zero", "number"])
def test_xgboost_as_onnx(tmp_path: Path, y: str) -> None:
    tools = pytest.importorskip("onnxmltools", reason="the extra dev has onnxmltools")
    kind = xgboost.XGBRegressor if y == "number" else xgboost.XGBClassifier
    model = kind(n_estimators=5).fit(B.to_numpy(np.float32), Y[y])
    made = tools.convert_xgboost(model, initial_types=[("input", tools.convert.common.data_types.FloatTensorType([None, 2]))])
    (tmp_path / "x.onnx").write_bytes(made.SerializeToString())
    opened = open_model(tmp_path / "x.onnx")
    assert np.allclose(opened.predict(B), model.predict(B), atol=1e-3)
    assert y == "number" or np.allclose(opened.predict_proba(B), model.predict_proba(B), atol=1e-5)


def test_a_graph_names_the_classes_that_are_never_the_most_probable(graph: Callable[..., Path]) -> None:
    """A rare class is often never the most probable one, and nothing but the graph tells its name then."""
    opened = OnnxFile(graph(pipe(LogisticRegression(), "three"), COLUMNS, zipmap=False))
    opened.predict_proba(F[:1])
    assert len(opened.numbered) == 1 and opened.classes_.tolist() == ["high", "low", "mid"]


def test_a_graph_is_fed_no_number_it_was_not_given(graph: Callable[..., Path]) -> None:
    """A missing age as a whole number is the smallest there is, and a model answers that with confidence."""
    file, rows = graph(pipe(LogisticRegression(), "two"), COLUMNS), F.assign(y=Y["two"]).astype({"age": float})
    rows.loc[[3, 50], "age"] = [np.nan, 40.5]
    made = evaluate_files(rows, "y", file, n_resamples=100)
    assert made.contest.n == N - 2 and "age must hold whole numbers" in made.facts["notes"][0] and "rows 3, 50" in made.facts["notes"][0]


def test_graphs_that_cannot_be_evaluated_say_why(graph: Callable[..., Path], tmp_path: Path) -> None:
    block = graph(LogisticRegression().fit(B.to_numpy(), Y["two"]), "float", 2)
    for rows, said in ((F, "takes 2 columns by their place, and the table has 3"), (B[["age"]], "takes 2 columns by their place, and the table has 1")):
        with pytest.raises(InputError, match=said):
            evaluate_files(rows.assign(y=Y["two"]), "y", block)
    with pytest.raises(InputError, match="lacks columns the model was trained on: age"):
        evaluate_files(F.drop(columns="age").assign(y=Y["two"]), "y", graph(pipe(LogisticRegression(), "two"), COLUMNS))
    with pytest.raises(InputError, match="one score beside it, as detectors of anomalies do"):
        open_model(graph(IsolationForest(n_estimators=3, random_state=0).fit(B.to_numpy()), "float", 2))
    with pytest.raises(InputError, match="gives 2 numbers a row and no labels"):
        open_model(graph(StandardScaler().fit(B), "float", 2))
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    with pytest.raises(InputError, match=r"broken\.onnx cannot be read as an ONNX model"):
        open_model(tmp_path / "broken.onnx")


# XGBoost's own files


@pytest.mark.parametrize("suffix", ["json", "ubj"])
def test_trees_that_stopped_early_answer_with_their_best_round(tmp_path: Path, suffix: str) -> None:
    """Asked for all their rounds, these trees were off by 0.2 in probability."""
    model = xgboost.XGBClassifier(n_estimators=100, early_stopping_rounds=3).fit(B[:200], Y["zero"][:200], eval_set=[(B[200:], Y["zero"][200:])], verbose=False)
    model.save_model(tmp_path / f"m.{suffix}")
    assert np.allclose(open_model(tmp_path / f"m.{suffix}").predict_proba(B), model.predict_proba(B), atol=1e-6)


def test_text_becomes_the_categories_that_the_trees_were_grown_on(tmp_path: Path) -> None:
    frame = F.astype({"region": "category"})
    model = xgboost.XGBClassifier(n_estimators=5, enable_categorical=True).fit(frame, Y["zero"])
    model.save_model(tmp_path / "m.json")
    some = F["region"] != "east"  # other codes for the same words
    opened = open_model(tmp_path / "m.json")
    assert np.allclose(opened.predict_proba(F[some]), model.predict_proba(frame[some]), atol=1e-6)
    rows = F.assign(y=Y["zero"])
    rows.loc[9, "region"] = "west"
    for each in (opened, model):
        made = evaluate_files(rows, "y", each, n_resamples=100)
        assert made.contest.n == N - 1 and "not in the training set" in made.facts["notes"][0] and "rows 9." in made.facts["notes"][0] and "Stack" not in str(made.facts)


@pytest.mark.parametrize(("objective", "task"), [("count:poisson", "regression"), ("reg:gamma", "regression"), ("binary:logitraw", "binary"), ("multi:softmax", "multiclass")])
def test_objectives(tmp_path: Path, objective: str, task: str) -> None:
    y = {"regression": F["age"].to_numpy(), "binary": Y["zero"], "multiclass": np.arange(N) % 3}[task]
    xgboost.train({"objective": objective, **({"num_class": 3} if task == "multiclass" else {})}, xgboost.DMatrix(B, y), 3).save_model(tmp_path / "m.json")
    assert evaluate_files(B.assign(y=y), "y", tmp_path / "m.json", n_resamples=100).task == task


def test_trees_of_several_quantities_are_refused(tmp_path: Path) -> None:
    xgboost.XGBRegressor(n_estimators=2).fit(B, B).save_model(tmp_path / "m.json")
    with pytest.raises(InputError, match="answers 2 quantities at once"):
        open_model(tmp_path / "m.json")


# MLflow


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A real registry in a folder: a pipeline in skops, trees in XGBoost's format, and a pickle."""
    import mlflow

    folder = tmp_path_factory.mktemp("registry")
    uri, before = f"sqlite:///{folder}/mlflow.db", mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        mlflow.set_experiment(experiment_id=mlflow.create_experiment("e", artifact_location=(folder / "artifacts").as_uri()))
        model, trees = LogisticRegression().fit(B, Y["two"]), xgboost.XGBClassifier(n_estimators=3).fit(B, Y["zero"])
        with mlflow.start_run() as run:
            pins = {"pip_requirements": ["scikit-learn"]}
            mlflow.sklearn.log_model(model, name="model", registered_model_name="loans", serialization_format="skops", **pins)
            mlflow.sklearn.log_model(model, name="pickled", registered_model_name="pickled", serialization_format="cloudpickle", **pins)
            mlflow.xgboost.log_model(trees, name="trees", registered_model_name="trees", **pins)
        mlflow.MlflowClient().set_registered_model_alias("loans", "champion", 1)
    finally:
        mlflow.set_tracking_uri(before)
    joblib.dump((model, trees), folder / "both.joblib")
    kept = next(path.parent for path in (folder / "artifacts").rglob("model.skops"))
    return {"uri": uri, "run": run.info.run_id, "folder": str(kept), "both": str(folder / "both.joblib")}


@pytest.fixture
def tracked(registry: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    import mlflow

    before = mlflow.get_tracking_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry["uri"])
    mlflow.set_tracking_uri(registry["uri"])
    yield registry  # type: ignore[misc]
    mlflow.set_tracking_uri(before)


@pytest.mark.parametrize("address", ["models:/loans@champion", "models:/loans/1", "models:/loans/latest", "runs:/{run}/model", "{folder}", "models:/trees/1",
                                     "runs:/{run}/trees"])  # fmt: skip
def test_models_at_addresses_of_mlflow(tracked: dict[str, str], tmp_path: Path, address: str) -> None:
    y = "zero" if "trees" in address else "two"
    model = joblib.load(tracked["both"])[y == "zero"]
    opened = open_model(address.format(**tracked))
    assert np.allclose(opened.predict_proba(B), model.predict_proba(B), atol=1e-6)
    if address in ("models:/loans@champion", "models:/trees/1"):
        B.assign(y=Y[y]).to_parquet(tmp_path / "t.parquet")
        code, said = command("--model", address, "--data", tmp_path / "t.parquet", "--target", "y")
        assert code == 0 and said["metrics"]["roc_auc"]["value"] == pytest.approx(evaluate_files(B.assign(y=Y[y]), "y", model, n_resamples=100).metrics["roc_auc"]["value"])


@pytest.mark.parametrize(("address", "said"), [("models:/nobody/1", "MLflow has no model at models:/nobody/1"), ("models:/loans@nobody", "alias nobody not found"),
                                               ("runs:/abc/model", "Run with id=abc not found"), ("models:/pickled/1", r"model\.pkl is a pickle")])  # fmt: skip
def test_addresses_without_a_model(tracked: dict[str, str], tmp_path: Path, address: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_model(address)
    if "pickled" in address:
        assert open_model(address, trust=True).predict(B).tolist() == joblib.load(tracked["both"])[0].predict(B).tolist()
    B.assign(y=Y["two"]).to_csv(tmp_path / "t.csv", index=False)
    code, answer = command("--model", address, "--data", tmp_path / "t.csv", "--target", "y")
    assert code == 2 and answer["exit_code"] == 2 and answer["error"]


def test_a_registry_that_does_not_answer_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    before = mlflow.get_tracking_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    try:
        with pytest.raises(InputError, match="MLflow does not answer for models:/loans/1"):
            open_model("models:/loans/1")
    finally:
        mlflow.set_tracking_uri(before)


# the same answers from every other place


@pytest.mark.parametrize("where", ["object", "skops", "joblib", "csv", "parquet"])
def test_objects_files_and_columns_come_to_the_same(tmp_path: Path, where: str) -> None:
    model = LogisticRegression().fit(B, Y["two"])
    expected = evaluate_files(B.assign(y=Y["two"]), "y", model, n_resamples=100, positive="yes").metrics
    rows, given = B.assign(y=Y["two"]), {"model": model}
    if where == "skops":
        skops.io.dump(model, tmp_path / "m.skops")
        given = {"model": tmp_path / "m.skops"}
    elif where == "joblib":
        joblib.dump(model, tmp_path / "m.joblib")
        with pytest.raises(InputError, match="is a pickle"):
            evaluate_files(rows, "y", tmp_path / "m.joblib")
        given = {"model": tmp_path / "m.joblib", "trust": True}
    elif where != "object":
        scored, given = rows.assign(p=model.predict_proba(B)[:, 1], said=model.predict(B)), {"prediction": "said", "score": "p"}
        rows = tmp_path / f"t.{where}"  # type: ignore[assignment]
        getattr(scored, f"to_{where}")(rows, index=False)
    found = evaluate_files(rows, "y", n_resamples=100, positive="yes", **given).metrics  # type: ignore[arg-type]
    assert {name: m["value"] for name, m in found.items()} == pytest.approx({name: m["value"] for name, m in expected.items()}, abs=1e-9)
