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
    "lambda by group": (START + "df['z'] = df.groupby('city')['fee'].transform(lambda s: (s - s.mean()) / s.std())\n" + SPLIT, {"LEAK02"}, 2),
    "lambda on columns": (START + "df[['a', 'b']] = df[['a', 'b']].apply(lambda c: (c - c.mean()) / c.std())\n" + SPLIT, {"LEAK08"}, 2),
    "lambda on cells": (START + "m = df['a'].mean()\ndf['a'] = df['a'].apply(lambda v: v - m)\n" + SPLIT, {"LEAK08"}, 2),
    "assign with a lambda": (START + "df = df.assign(z=lambda d: (d.a - d.a.mean()) / d.a.std())\n" + SPLIT, {"LEAK08"}, 2),
    "assign, then chained": (START + "df = df.assign(z=lambda d: d['a'] / d['a'].max()).drop(columns='a')\n" + SPLIT, {"LEAK08"}, 2),
    "agg and merge": (START + "m = df.groupby('city').agg(rate=('left', 'mean')).reset_index()\ndf = df.merge(m, on='city')\n" + SPLIT, {"LEAK03"}, 2),
    "agg and pd.merge": (START + "m = df.groupby('city')['left'].agg(['mean', 'count'])\ndf = pd.merge(df, m, on='city')\n" + SPLIT, {"LEAK03"}, 2),
    "means by group as a dictionary": (START + "m = df.groupby('city')['left'].mean().to_dict()\ndf['r'] = df['city'].map(m)\n" + SPLIT, {"LEAK03"}, 2),
    "dictionary in a loop": (START + "means = {c: df[c].mean() for c in ['a', 'b']}\nfor c, m in means.items():\n    df[c] = df[c].fillna(m)\n" + SPLIT, {"LEAK08"}, 2),
    "dictionary filled in a loop": (
        START + "means = {}\nfor c in ['a', 'b']:\n    means[c] = df[c].median()\nfor c in means:\n    df[c] = df[c].fillna(means[c])\n" + SPLIT, {"LEAK08"}, 4),
    "dictionary given to fillna": (START + "df = df.fillna({'a': df['a'].mean(), 'b': 0})\n" + SPLIT, {"LEAK08"}, 2),
    "method of a class": (
        "class Prep:\n    def run(self, d):\n        d['a'] = d['a'] - d['a'].mean()\n        return d\n" + START + "df = Prep().run(df)\n" + SPLIT, {"LEAK08"}, 3),
    "transformer of one's own": (
        "class Fill(BaseEstimator, TransformerMixin):\n    def fit(self, X, y=None):\n        self.m = X.mean()\n        return self\n"
        "    def transform(self, X):\n        return X.fillna(self.m)\n" + START + "f = Fill()\nf.fit(df)\ndf = f.transform(df)\n" + SPLIT, {"LEAK08"}, 3),
    "the same, at once": (
        "class Fill(BaseEstimator, TransformerMixin):\n    def fit(self, X, y=None):\n        self.m = X.mean()\n        return self\n"
        "    def transform(self, X):\n        return X.fillna(self.m)\n" + START + "df = Fill().fit_transform(df)\n" + SPLIT, {"LEAK08"}, 3),
    "positives below the table": (START + "pos = df[df['left'] == 1]\ndf = pd.concat([df, pos, pos])\n" + SPLIT, {"LEAK02"}, 3),
    "positives once more": (START + "df = pd.concat([df, df[df.left == 1].copy()], ignore_index=True)\n" + SPLIT, {"LEAK02"}, 2),
    "resample": (START + "pos, neg = df[df.left == 1], df[df.left == 0]\npos = resample(pos, replace=True, n_samples=len(neg))\ndf = pd.concat([neg, pos])\n" + SPLIT,
                 {"LEAK02"}, 3),
    "sample with replacement": (START + "pos = df[df.left == 1].sample(900, replace=True)\ndf = pd.concat([df[df.left == 0], pos])\n" + SPLIT, {"LEAK02"}, 2),
    "where": (START + "df['a'] = np.where(df['a'].isna(), df['a'].mean(), df['a'])\n" + SPLIT, {"LEAK08"}, 2),
    "test filled with its own mean": (START + SPLIT + "m = test['a'].mean()\ntest['a'] = test['a'].fillna(m)\n", {"LEAK08"}, 3),
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
    "mean over a mask of train": START + "m = df.loc[df.is_train, 'a'].mean()\ndf['a'] = df['a'].fillna(m)\ntrain, test = df[df.is_train], df[~df.is_train]\n",
    "mask in a name": START + "part = df['part'] == 'train'\ndf['a'] = df['a'].fillna(df.loc[part, 'a'].median())\ntrain, test = df[part], df[~part]\n",
    "rows by index": (
        START + "train_idx, test_idx = train_test_split(df.index)\n"
        "s = StandardScaler().fit(df.loc[train_idx])\nA, B = s.transform(df.loc[train_idx]), s.transform(df.loc[test_idx])\n"),
    "everything but test": START + "s = StandardScaler().fit(df[df.part != 'test'])\nA, B = s.transform(df[df.part != 'test']), s.transform(df[df.part == 'test'])\n",
    "across the columns": (
        START + "df['m'] = df[['a', 'b']].mean(axis=1)\n"
        "df['x'] = df[['a', 'b']].max(axis='columns') - df[['a', 'b']].min(1)\ndf['n'] = np.sum(df[['a', 'b']], axis=1)\n" + SPLIT),
    "own past in a lambda": START + "df['p'] = df.groupby('id')['a'].transform(lambda s: s.shift(1).rolling(3).mean())\n" + SPLIT,
    "own past in windows": (
        START + "df['p'] = df.groupby('id')['a'].rolling(3).mean().values\n"
        "df['q'] = df['a'].shift(1).expanding().max()\ndf['e'] = df['a'].ewm(0.3).mean()\n" + SPLIT),
    "row by row in a lambda": START + "df['n'] = df['text'].apply(lambda t: t.count('a') + len(t))\ndf['m'] = df.apply(lambda r: max(r['a'], r['b']), axis=1)\n" + SPLIT,
    "scaler of another table": (
        "old = pd.read_csv('2019.csv')\n" + START + "s = StandardScaler().fit(old)\n"
        "train, test = train_test_split(df)\nA, B = s.transform(train), s.transform(test)\n"),
    "mean of another table": "old = pd.read_csv('2019.csv')\n" + START + "df['a'] = df['a'].fillna(old['a'].mean())\n" + SPLIT,
    "labels of test looked at": START + XY + XY_SPLIT + "print(y_test.mean(), y_test.value_counts())\n",
    "labels of test in a score": (
        START + XY + XY_SPLIT + "p = SVR().fit(X_train, y_train).predict(X_test)\n"
        "r2 = 1 - ((y_test - p) ** 2).sum() / ((y_test - y_test.mean()) ** 2).sum()\n"),
    "test looked at": START + SPLIT + "print(test['a'].mean(), test.describe())\n",
    "repeats in train": START + SPLIT + "pos = train[train.left == 1]\ntrain = pd.concat([train, pos, pos])\ntrain = resample(train)\n",
    "bootstrap of a score": START + SPLIT + "for i in range(100):\n    b = resample(test)\n    accuracy_score(b['left'], m.predict(b))\n",
    "tables below each other": "df = pd.concat([pd.read_csv('a.csv'), pd.read_csv('b.csv')])\n" + SPLIT,
    "columns beside each other": START + "df = pd.concat([df, pd.DataFrame({'z': np.log(df['a'])})], axis=1)\n" + SPLIT,
    "a class that learns from train": (
        "class Fill:\n    def fit(self, X):\n        self.m = X.mean()\n        return self\n    def transform(self, X):\n        return X.fillna(self.m)\n"
        + START + SPLIT + "f = Fill().fit(train)\ntrain, test = f.transform(train), f.transform(test)\n"),
    "a dictionary from train": START + SPLIT + "means = {c: train[c].mean() for c in ['a']}\nfor part in (train, test):\n    part['a'] = part['a'].fillna(means['a'])\n",
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
