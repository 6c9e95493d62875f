"""The first configs of a search, without a trial."""

import warnings

import optuna

from mmext.search.tuner import methods, store
from mmext.search.tuner.changes import literal
from mmext.search.tuner.plan import Plan

SHOWN = 5


def preview(plan: Plan) -> None:
    """Print what the first trials would change; the first has the config's own values."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    directions = [one.direction for one in plan.settings.objectives]
    study = optuna.create_study(directions=directions)
    store.fill(study, plan.settings, plan.space)
    for number in range(min(SHOWN, plan.settings.trials)):
        study.sampler = methods.sampler(plan.settings, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = study.ask(plan.space.distributions)
        content = plan.content(plan.space.changes(trial.params), plan.settings.seed + number)
        mark = " (the config's own values)" if trial.user_attrs.get("own") else ""
        print(f"# trial {number}{mark}")
        for name, value in content.items():
            print(f"{name} = {literal(value)}")
        print()
    print(f"{plan.settings.trials} trials on {plan.base}; nothing was trained.")
