"""Leaks read from code: each way to fit before the split is found at its line, and honest code raises nothing. No code is run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlnb.core.errors import InputError
from mlnb.data.code_leaks import code_leaks

START = 'df = pd.read_csv("churn.csv")\n'
SPLIT = 'train, test = train_test_split(df, test_size=0.2)\n'
XY = 'X, y = df.drop(columns="left"), df["left"]\n'
XY_SPLIT = "X_train, X_test, y_train, y_test = train_test_split(X, y)\n"

LEAKY = {  # name: code, codes found, line of the first
    "scaler on the frame": (START + "df[['a']] = StandardScaler().fit_transform(df[['a']])\n" + SPLIT, {"LEAK08"}, 2),
    "scaler kept in a name": (START + XY + "s = MinMaxScaler()\ns.fit(X)\nX = s.transform(X)\n" + XY_SPLIT, {"LEAK08"}, 4),
    "scaler fitted early, used late": (START + XY + "s = StandardScaler().fit(X)\n" + XY_SPLIT + "A = s.transform(X_train)\n", {"LEAK08"}, 3),
    "fillna with the mean": (START + "df['a'] = df['a'].fillna(df['a'].mean())\n" + SPLIT, {"LEAK08"}, 2),
    "fillna in place, mean in a name": (START + "m = df['a'].median()\ndf['a'].fillna(m, inplace=True)\n" + SPLIT, {"LEAK08"}, 2),
    "whole frame at once": (START + "df = df.fillna(df.mean(numeric_only=True))\n" + SPLIT, {"LEAK08"}, 2),
    "arithmetic": (START + "df['a'] = (df['a'] - df['a'].mean()) / df['a'].std()\n" + SPLIT, {"LEAK08"}, 2),
    "arithmetic in a function": (
        "def prepare(d):\n    d['a'] = (d['a'] - d['a'].min()) / (d['a'].max() - d['a'].min())\n    return d\n" + START + "df = prepare(df)\n" + SPLIT,
        {"LEAK08"}, 2),
    "target mean by group": (START + "df['r'] = df.groupby('city')['left'].transform('mean')\n" + SPLIT, {"LEAK03"}, 2),
    "target mean by map": (START + "df['r'] = df['city'].map(df.groupby('city')['left'].mean())\n" + SPLIT, {"LEAK03"}, 2),
    "feature mean by group": (START + "df['r'] = df.groupby('city')['fee'].transform('mean')\n" + SPLIT, {"LEAK02"}, 2),
    "counts": (START + "df['n'] = df['city'].map(df['city'].value_counts())\n" + SPLIT, {"LEAK02"}, 2),
    "target encoder": (START + XY + "X['c'] = ce.TargetEncoder().fit_transform(X['c'], y)\n" + XY_SPLIT, {"LEAK03"}, 3),
    "selection before cross-validation": (
        START + XY + "X = SelectKBest(f_classif, k=10).fit_transform(X, y)\ncross_val_score(LogisticRegression(), X, y)\n", {"LEAK02"}, 3),
    "SMOTE before the split": (START + XY + "X, y = SMOTE().fit_resample(X, y)\n" + XY_SPLIT, {"LEAK02"}, 3),
    "fitted on test": (START + XY + XY_SPLIT + "s = StandardScaler()\nA = s.fit_transform(X_train)\nB = s.fit_transform(X_test)\n", {"LEAK08"}, 6),
    "PCA, then a slice": (START + "Z = PCA(5).fit_transform(df)\nZ_train, Z_test = Z[:800], Z[800:]\n", {"LEAK02"}, 2),
    "PCA, then folds": (START + XY + "Z = PCA(5).fit_transform(X)\nfor tr, te in KFold(5).split(Z):\n    m = SVC().fit(Z[tr], y[tr])\n", {"LEAK02"}, 3),
    "train and test joined": (
        "train = pd.read_csv('train.csv')\ntest = pd.read_csv('test.csv')\nboth = pd.concat([train, test])\ns = StandardScaler().fit(both)\ntrain = s.transform(train)\n",
        {"LEAK08"}, 4),
    "vocabulary of all texts": (START + "T = TfidfVectorizer().fit_transform(df['text'])\na, b = train_test_split(T)\n", {"LEAK02"}, 2),
}  # fmt: skip


def read(tmp_path: Path, source: str) -> list:
    (tmp_path / "code.py").write_text(source)
    return code_leaks(tmp_path / "code.py", "left")


@pytest.mark.parametrize("name", LEAKY)
def test_leaky_code_is_found_at_its_line(name: str, tmp_path: Path) -> None:
    source, codes, line = LEAKY[name]
    found = read(tmp_path, source)
    assert {leak.code for leak in found} == codes and found[0].line == line and found[0].excerpt


HONEST = {
    "pipeline in a cross-validation": START + XY + "p = make_pipeline(SimpleImputer(), StandardScaler(), SVC())\ncross_val_score(p, X, y)\np.fit(X, y)\n",
    "split first": START + XY + XY_SPLIT + "s = StandardScaler().fit(X_train)\nA, B = s.transform(X_train), s.transform(X_test)\nSVC().fit(A, y_train)\n",
    "fill with train's mean": START + SPLIT + "m = train['a'].mean()\ntrain['a'] = train['a'].fillna(m)\ntest['a'] = test['a'].fillna(m)\n",
    "looking at the table": START + "print(df.describe(), df['a'].mean())\ndf['a'].hist()\ndf.groupby('city')['left'].mean().plot()\n" + SPLIT,
    "row by row": START + "df['ratio'] = df['a'] / df['b']\ndf['log'] = np.log1p(df['a'])\ndf = df.dropna().drop_duplicates()\ndf['c'] = df['c'].fillna('none')\n" + SPLIT,
    "own past": START + "df['lag'] = df.groupby('id')['a'].shift(1)\ndf['sum'] = df.groupby('id')['a'].cumsum()\n" + SPLIT,
    "labels of the target": START + XY + "y = LabelEncoder().fit_transform(y)\n" + XY_SPLIT,
    "search over a pipeline": START + XY + XY_SPLIT + "g = GridSearchCV(Pipeline([('s', StandardScaler()), ('m', SVC())]), {})\ng.fit(X_train, y_train)\n",
    "SMOTE on train": START + XY + XY_SPLIT + "A, b = SMOTE().fit_resample(X_train, y_train)\nSVC().fit(A, b)\n",
    "folds, fitted inside": START + XY + "for tr, te in KFold(5).split(X):\n    s = StandardScaler().fit(X[tr])\n    SVC().fit(s.transform(X[tr]), y[tr])\n",
    "clusters without a split": START + "Z = StandardScaler().fit_transform(df)\nKMeans(3).fit(Z)\n",
}  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
def test_honest_code_raises_nothing(name: str, tmp_path: Path) -> None:
    assert read(tmp_path, HONEST[name]) == []


def test_one_hot_columns_before_the_split_are_mild(tmp_path: Path) -> None:
    (leak,) = read(tmp_path, START + "df = pd.get_dummies(df)\n" + SPLIT)
    assert leak.mild and leak.code == "LEAK02"


def test_names_are_followed_across_cells_and_magics(tmp_path: Path) -> None:
    cells = ["%load_ext autoreload\n!pip list\nimport pandas as pd", START + "?df", "%%time\nscaler = StandardScaler()\nZ = scaler.fit_transform(df)", "%%bash\nls", "a b c",
             "Z_train, Z_test = train_test_split(Z)"]  # fmt: skip
    notebook = {"cells": [{"cell_type": "markdown", "source": ["# x"]}, *({"cell_type": "code", "source": c.splitlines(True)} for c in cells)], "nbformat": 4}
    (tmp_path / "n.ipynb").write_text(json.dumps(notebook))
    (leak,) = code_leaks(tmp_path / "n.ipynb")
    assert (leak.cell, leak.line, leak.excerpt) == (4, 3, "Z = scaler.fit_transform(df)")


@pytest.mark.parametrize("name, content", [("x.csv", "a"), ("x.ipynb", "{"), ("x.ipynb", "[]"), ("x.py", "def ("), ("x.py", "\0")])
def test_files_that_are_no_code_are_told(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=name):
        code_leaks(tmp_path / name)


def test_nothing_is_run(tmp_path: Path) -> None:
    assert read(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit\n") == [] and not (tmp_path / "ran").exists()
