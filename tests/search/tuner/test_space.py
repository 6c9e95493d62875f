"""The space: what is read, and one sentence for everything that is wrong in it."""

import re

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from mmext.errors import BadInputError
from mmext.search.tuner import changes, space
from tests.search.tuner.plans import CFG


def only(given, cfg=CFG):
    (parameter,) = space.parse(given, cfg).parameters.values()
    return parameter


def test_a_short_name_is_the_only_key_that_ends_with_it():
    lr, decay = space.parse("lr,weight_decay", CFG).parameters.values()
    assert lr.key == "optim_wrapper.optimizer.lr"
    assert lr.distribution == FloatDistribution(0.01 / 30, 0.01 * 30, log=True)
    assert (decay.key, decay.own) == ("optim_wrapper.optimizer.weight_decay", 0.0005)


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("lr=log(1e-4,1e-1)", FloatDistribution(1e-4, 1e-1, log=True)),
        ("lr=float(0,1)", FloatDistribution(0, 1)),
        ("depth=int(1,8)", IntDistribution(1, 8)),
        ("depth=int(2,8,2)", IntDistribution(2, 8, step=2)),
        ("depth=[1,2,4]", CategoricalDistribution([1, 2, 4])),
        ("model.type=[Net,Other]", CategoricalDistribution(["Net", "Other"])),
        ("param_scheduler.1.end=int(1,4)", IntDistribution(1, 4)),
        ("batch_size", CategoricalDistribution([16, 32, 64])),
        ("momentum", FloatDistribution(0.5, 0.99)),
        ("depth", IntDistribution(1, 4)),
    ],
)
def test_the_command_line_writes_every_kind(text, distribution):
    assert only(text).distribution == distribution


def test_choices_may_be_dicts_and_lists():
    given = dict(choices=[dict(type="ReLU"), dict(_delete_=True, type="GELU"), [1, 2]])
    one = only({"model.act": dict(type="categorical", **given)})
    assert one.own == repr(dict(type="ReLU"))
    assert [one.value(seen) for seen in one.distribution.choices] == given["choices"]


def test_a_partial_dict_that_changes_nothing_is_the_own_value():
    one = only({"model.act": dict(type="categorical", choices=[{}, dict(type="GELU")])})
    assert (one.own, one.misfit) == ("{}", "")


def test_a_key_left_to_its_default_is_searched_with_own():
    one = only({"model.dropout": dict(type="float", low=0.0, high=0.5, own=0.0)})
    assert (one.key, one.own) == ("model.dropout", 0.0)


WRONG = [
    ("lrr", "the config has no key lrr; did you mean optim_wrapper.optimizer.lr?"),
    ("optim_wraper.optimizer.lr", "has no key .*; did you mean optim_wrapper.optimizer.lr?"),
    ("type", "short for several keys of the config, model.type"),
    ("param_scheduler.2.end=int(1,3)", "no key param_scheduler.2.end; did you mean"),
    ("", "expected some keys to search over, got none"),
    ("lr=float(1,1)", "expected low < high, got 1 and 1, an empty range"),
    ("lr=log(0,1)", "expected low > 0 with log, got 0"),
    ("lr=log(1)", r"expected \(low,high\)"),
    ("lr=[]", "got .*, an empty space"),
    ("depth=[2,2]", "expected different choices"),
    ("lr=soon", "expected a range or choices, got 'soon'"),
    ("model.type=float(0,1)", "expected choices in place of a range, since the config has 'Net'"),
    ("neck", "nothing is usual around None"),
    ("lr,lr", "each key once"),
    ("lr,optim_wrapper.optimizer.lr", "each key once"),
    ("depth=int(1.5,3)", "expected a number of type int as low, got 1.5"),
    ({"lr": dict(type="floatx", low=1, high=2)}, "got 'floatx' .did you mean 'float'"),
    ({"lr": dict(type="float", lwo=1, high=2)}, "got 'lwo' .did you mean 'low'"),
    ({"lr": dict(type="float", high=2)}, "expected 'low', got none"),
    ({"lr": 3}, "expected dict"),
    ({"mdl.x": dict(type="int", low=1, high=2, own=1)}, "no dict mdl for mdl.x"),
    (
        {
            "optim_wrapper.optimizer": dict(type="categorical", choices=[{}]),
            "lr": dict(type="float", low=0.001, high=1),
        },
        "optimizer.lr lies inside optim_wrapper.optimizer",
    ),
]


@pytest.mark.parametrize(("given", "sentence"), WRONG)
def test_one_sentence_for_a_wrong_space(given, sentence):
    with pytest.raises(BadInputError, match=sentence) as caught:
        space.parse(given, CFG)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", ["lr=float(1,2)", "model.type=[Other]"])
def test_own_values_outside_of_the_space_are_refused(given):
    with pytest.raises(BadInputError, match=r"holds the config's own value, .*--no-own"):
        space.parse(given, CFG).require_own()


def test_changes_reach_into_lists_and_leave_the_config_alone():
    before = repr(CFG)
    new = changes.changed(CFG, {"param_scheduler.1.end": 7, "model.act": dict(inplace=True)})
    assert new["param_scheduler"][1]["end"] == 7
    assert new["model"]["act"] == dict(type="ReLU", inplace=True)
    assert repr(CFG) == before


def test_the_delta_is_the_smallest_that_a_file_can_write():
    given = {
        "optim_wrapper.optimizer.lr": 0.5,
        "param_scheduler.1.end": 3,
        "model.neck": dict(type="FPN"),
        "model.act": dict(_delete_=True, type="GELU"),
    }
    assert changes.delta(CFG, given) == dict(
        optim_wrapper=dict(optimizer=dict(lr=0.5)),
        param_scheduler=[CFG["param_scheduler"][0], dict(type="LinearLR", end=3)],
        model=dict(neck=dict(_delete_=True, type="FPN"), act=dict(_delete_=True, type="GELU")),
    )


def test_a_list_that_text_cannot_show_is_refused():
    cfg = dict(steps=[dict(f=f"{changes.OPAQUE}<function>", x=1)])
    with pytest.raises(BadInputError, match=r"steps.0.x: expected a list of plain values"):
        changes.delta(cfg, {"steps.0.x": 2})


def test_what_is_written_reads_as_the_same():
    content = dict(a=dict(b=[1, (2,), {"x y": None}]), c=float("inf"), d="quo'te")
    text = changes.config_text("base.py", content, "A doc.")
    found = {}
    exec(text, found)
    assert {key: found[key] for key in content} == content
    assert found["_base_"] == "base.py"
    assert re.match('"""A doc."""', text)
