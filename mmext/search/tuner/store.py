"""The study on disk: made once, joined by any number of workers, refused where it does not fit."""

import contextlib
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
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
    # A server's connections are tried before use: it may have been started anew since.
    is_file = settings.storage.startswith("sqlite")
    engine = {"connect_args": {"timeout": 60}} if is_file else {"pool_pre_ping": True}
    try:
        return RDBStorage(settings.storage, engine_kwargs=engine)
    except Exception as error:  # sqlalchemy's, or of the driver that it asks for
        raise BadInputError(
            f"storage: expected a database at {_shown(settings.storage)}, got {_words(error)}; "
            "correct it, or install its driver (mmext[postgresql] is PostgreSQL's)"
        ) from error


@contextlib.contextmanager
def in_a_sentence(settings: Settings) -> Iterator[None]:
    """Let a database that breaks down end a search as bad input does.

    Raises:
        BadInputError: it has.
    """
    try:
        yield
    except Exception as error:
        of_database = type(error).__module__.startswith("sqlalchemy.")
        if not of_database and not isinstance(error, StorageInternalError):
            raise
        raise BadInputError(
            f"storage: expected the database at {_shown(settings.storage or '')} to answer, got "
            f"{_words(error.__cause__ or error)}; see to it, and go on with --resume"
        ) from error


def _shown(url: str) -> str:
    """A database's address without its password."""
    return re.sub(r"(//[^:/@]*):[^@]*@", r"\1:***@", url)


def _words(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


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
        if settings.method == "pbt":  # which parts the trainings have
            mark["population"] = [settings.population, settings.trials]
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
    for part in ("space", "objective", "limits", "seed", "config", "population"):
        if old.get(part) == new.get(part):
            continue
        got = f"{old.get(part)} there and {new.get(part)} here"
        if part in ("space", "config"):
            keys = [*old[part], *(one for one in new[part] if one not in old[part])]
            key = next(one for one in keys if old[part].get(one) != new[part].get(one))
            was, now = (one[part].get(key, "nothing") for one in (old, new))
            got = f"{key} is {was} there and {now} here"
        raise BadInputError(
            f"{work_dir}: expected the {part} of the study that it holds, got another one ({got}); "
            "restore it, or choose another --work-dir"
        )
