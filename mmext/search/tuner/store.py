"""The study on disk: made once, joined by any number of workers, refused where it does not fit."""

import json
import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage

from mmext.errors import BadInputError
from mmext.search.tuner import methods
from mmext.search.tuner.changes import leaves
from mmext.search.tuner.journal import Journal
from mmext.search.tuner.lock import FileLock
from mmext.search.tuner.settings import Settings
from mmext.search.tuner.space import Space

JOURNAL = "study.journal"
NAME = "search"


def storage(settings: Settings, work_dir: Path) -> BaseStorage:
    """The journal of a work folder, or the database that the settings name.

    Raises:
        BadInputError: the database cannot be reached.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if settings.storage is None:
        return JournalStorage(Journal(work_dir / JOURNAL))
    try:
        wait = {"timeout": 60} if settings.storage.startswith("sqlite") else {}
        return RDBStorage(settings.storage, engine_kwargs={"connect_args": wait})
    except Exception as error:  # sqlalchemy's, or of the driver that it asks for
        got = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise BadInputError(
            f"storage: expected a database at {settings.storage}, got {got}; correct it"
        ) from error


def name_of(settings: Settings, work_dir: Path) -> str:
    """The study's name: a database may hold several."""
    return NAME if settings.storage is None else str(work_dir.resolve())


def begin(
    settings: Settings, space: Space, config: dict[str, Any], work_dir: Path, *, resume: bool
) -> optuna.Study:
    """Make the study of a folder, or join it.

    Args:
        settings: what was asked for.
        space: of the search.
        config: the resolved config, which a study does not change.
        work_dir: of the search.
        resume: whether there may be one.

    Raises:
        BadInputError: there is one and nobody asked to go on with it, or it is another one.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(work_dir / "claims"):
        place = storage(settings, work_dir)
        name = name_of(settings, work_dir)
        exists = any(one.study_name == name for one in place.get_all_studies())
        if exists and not resume:
            raise BadInputError(
                f"{work_dir}: expected a folder without a study, got one; go on with it by "
                "--resume, or choose another --work-dir"
            )
        study = optuna.create_study(
            storage=place,
            study_name=name,
            directions=[one.direction for one in settings.objectives],
            load_if_exists=True,
            pruner=methods.pruner(settings),
        )
        mark = _identity(settings, space, config)
        if "identity" in study.user_attrs:
            require_same(study.user_attrs["identity"], mark, work_dir)
        else:
            study.set_user_attr("identity", mark)
        # Always: whoever began it may have been killed here, or more trials be asked for now.
        fill(study, settings, space)
    return study


def load(settings: Settings, work_dir: Path) -> optuna.Study:
    """Join a study that is there."""
    return optuna.load_study(
        storage=storage(settings, work_dir),
        study_name=name_of(settings, work_dir),
        pruner=methods.pruner(settings),
    )


def fill(study: optuna.Study, settings: Settings, space: Space) -> None:
    """Enqueue the config's own values, and the points of a grid."""
    points = [space.own] if settings.own else []
    if settings.method == "grid":
        points += methods.grid(settings, space.distributions)
    trials = study.get_trials(deepcopy=False)
    there = [one.system_attrs.get("fixed_params") for one in trials]
    if any(one.user_attrs.get("own") for one in trials):
        points = points[1:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for point in points:
            if point not in there and len(there) < settings.trials:
                own = settings.own and point is points[0] and not there
                study.enqueue_trial(point, user_attrs={"own": True} if own else None)
                there.append(point)


def _identity(settings: Settings, space: Space, config: dict[str, Any]) -> dict[str, Any]:
    """What must not change while a study lasts."""
    ignored = ("search", "work_dir", "resume", "load_from")
    values = {
        key: repr(value)
        for key, value in leaves({k: v for k, v in config.items() if k not in ignored})
        if not isinstance(value, dict | list | tuple)
    }
    return {
        "space": space.fingerprint(),
        "objective": [f"{'' if one.largest else '-'}{one.name}" for one in settings.objectives],
        "limits": list(settings.limits),
        "seed": settings.seed,
        "config": values,
    }


def require_same(old: dict[str, Any], new: dict[str, Any], work_dir: Path) -> None:
    """Refuse to go on with another search.

    Raises:
        BadInputError: it names the first difference.
    """
    new = json.loads(json.dumps(new))
    for part in ("space", "objective", "limits", "seed", "config"):
        if old[part] == new[part]:
            continue
        got = f"{old[part]} there and {new[part]} here"
        if isinstance(old[part], dict):
            keys = [*old[part], *(one for one in new[part] if one not in old[part])]
            key = next(one for one in keys if old[part].get(one) != new[part].get(one))
            was, now = (one[part].get(key, "nothing") for one in (old, new))
            got = f"{key} is {was} there and {now} here"
        raise BadInputError(
            f"{work_dir}: expected the {part} of the study that it holds, got another one ({got}); "
            "restore it, or choose another --work-dir"
        )
