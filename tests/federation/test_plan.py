from __future__ import annotations

from pathlib import Path

import pytest

from cipherlane.federation import load_plan, parse_plan

GOOD = """
name = "two clinics"
[model]
components = 2
[parties.guest]
data = "guest.csv"
label_column = "y"
columns = ["a", "b"]
[parties.host]
data = "sub/host.csv"
"""


def test_a_plan_is_read_with_defaults_and_paths_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(GOOD)
    plan = load_plan(path)
    assert plan.name == "two clinics"
    assert plan.guest.data == tmp_path / "guest.csv"
    assert plan.guest.columns == ("a", "b")
    assert [host.data for host in plan.hosts] == [tmp_path / "sub" / "host.csv"]
    assert (plan.encryption.key_bits, plan.encryption.packing, plan.encryption.fraction_bits) == (
        2048,
        True,
        40,
    )
    assert (plan.privacy.responsibility_decimals, plan.privacy.share_parameters) == (2, "end")
    assert plan.model.start == "kmeans"
    assert plan.text == GOOD
    assert parse_plan(GOOD.replace('name = "two clinics"', ""), source="x/my.toml").name == "my"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "components = 2",
            "componnents = 2",
            "components: expected a value, it is missing; add it",
        ),
        (
            "components = 2",
            "components = 2\nsed = 1",
            "unknown field 'sed'; did you mean 'seed'",
        ),
        (
            "components = 2",
            "components = 1",
            r"\[model\] components: expected an integer from 2 to 1024",
        ),
        ("components = 2", "components = 2.0", "an integer from 2 to 1024, got 2.0"),
        ("components = 2", "components = true", "an integer from 2 to 1024, got True"),
        (
            "components = 2",
            'components = 2\nstart = "best"',
            'one of "kmeans", "random", got \'best\'',
        ),
        ("components = 2", "components = 2\nregularisation = -1.0", "a number from 0 to 1e"),
        ("components = 2", "components = 2\nregularisation = nan", "expected a finite number"),
        ("components = 2", 'components = 2\ncovariance_type = "tied"', 'one of "full", "diag"'),
        ("components = 2", "components = ", "not valid TOML"),
        ("[model]\ncomponents = 2", "", r"the section \[model\] is missing"),
        ("[model]", "[modell]\n[model]", "unknown field 'modell'; did you mean 'model'"),
        ('name = "two clinics"', 'name = "../up"', "name: expected 1 to 64 letters"),
        ('name = "two clinics"', "model = 3\n[other]", "."),
        ("[parties.host]", '[parties.host]\nlabel_column = "y"', "labels belong to the guest"),
        ("[parties.host]", '[parties.host]\nimpute = "zero"', 'one of "none", "mean", "median"'),
        ("[parties.host]", "[parties.Host]", r"\[parties.Host\]: expected a name of 1 to 32 lower-case"),
        ("[parties.host]", "[parties.arbiter]", 'is not "coordinator" or "arbiter"'),
        ("[parties.host]", "[parties.clinic]", r"\[parties.clinic\] role: expected one of"),
        ("[parties.host]", '[parties.host]\nrole = "guest"', 'one party with role = "guest", got 2'),
        ('[parties.host]\ndata = "sub/host.csv"', "", "a guest and 1 to 255 hosts"),
        ('data = "sub/host.csv"', "", r"\[parties.host\] data: expected a value, it is missing"),
        ('columns = ["a", "b"]', 'columns = ["a", "a"]', "name each column once"),
        ('columns = ["a", "b"]', 'columns = "a"', "a list of column names"),
        ('columns = ["a", "b"]', 'columns = ["a", "y"]', r"feature columns only.*leave \['y'\] out"),
        ("[model]", "[encryption]\nkey_bits = 2000\n[model]", "a multiple of 256"),
        ("[model]", "[encryption]\nkey_bits = 512\n[model]", "an integer from 1024 to 4096, got 512"),
        ("[model]", "[encryption]\npacking = 1\n[model]", "true or false, got 1"),
        ("[model]", "[encryption]\npaking = true\n[model]", "unknown field 'paking'; did you mean 'packing'"),
        ("[model]", "[privacy]\nresponsibility_decimals = 0\n[model]", r"-1 \(off\) or 1 to 9"),
        ("[model]", '[privacy]\nshare_parameters = "often"\n[model]', 'one of "end", "every_round", "never"'),
        ("[model]", "[requirements]\nrows = 0\n[model]", "an integer from 2"),
        ("[model]", "[training]\ntolerance = -1.0\n[model]", "a number from 0"),
    ],
)
def test_a_bad_plan_is_refused_with_section_field_and_remedy(old: str, new: str, expected: str) -> None:
    assert old in GOOD
    with pytest.raises(ValueError, match=expected) as caught:
        parse_plan(GOOD.replace(old, new), source="plan.toml")
    assert str(caught.value).startswith("plan.toml: ")


def test_an_unreadable_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.toml: no such file"):
        load_plan(tmp_path / "none.toml")
    with pytest.raises(ValueError, match="cannot be read"):
        load_plan(tmp_path)
    (tmp_path / "b.toml").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="not UTF-8"):
        load_plan(tmp_path / "b.toml")
