"""autohas.png: the lines are the curve, the value that was named is thick."""

import sys

import numpy as np

from mmext.search.autohas.picture import MOST, draw, figure_of, label


def found_of(choices: int = 3, steps: int = 4) -> dict:
    rates = [10.0**-i for i in range(choices)]
    p = np.random.default_rng(0).dirichlet(np.ones(choices), steps)
    rows = [
        dict(step=i, reward=0.0, probabilities={"lr": one.tolist(), "model.neck": [0.25, 0.75]})
        for i, one in enumerate(p)
    ]
    return dict(
        values={"lr": rates[1], "model.neck": 1},
        choices={"lr": rates, "model.neck": [0, 1]},
        probabilities=rows[-1]["probabilities"],
        curve=rows,
    )


def test_a_line_is_a_choice_and_the_named_one_is_thick() -> None:
    found = found_of()
    rates, necks = figure_of(found).axes
    assert [axes.get_title() for axes in (rates, necks)] == ["lr", "model.neck"]
    for i, line in enumerate(rates.lines):
        assert line.get_label() == label(found["choices"]["lr"][i])
        assert list(line.get_ydata()) == [row["probabilities"]["lr"][i] for row in found["curve"]]
        assert (line.get_linewidth() > 2) == (i == 1)
    assert [line.get_linewidth() > 2 for line in necks.lines] == [False, True]


def test_of_many_choices_the_likeliest_at_the_end_are_shown() -> None:
    found = found_of(choices=MOST + 4)
    shown = [float(line.get_label()) for line in figure_of(found).axes[0].lines]
    last = found["probabilities"]["lr"]
    best = sorted(range(MOST + 4), key=last.__getitem__)[-MOST:]
    assert sorted(shown) == sorted(10.0**-i for i in best)


def test_no_picture_without_a_step_or_without_matplotlib(tmp_path, monkeypatch) -> None:
    assert draw(found_of(), tmp_path / "a.png")
    assert not draw(found_of() | {"curve": []}, tmp_path / "b.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert not draw(found_of(), tmp_path / "c.png")
    assert [one.name for one in tmp_path.iterdir()] == ["a.png"]
