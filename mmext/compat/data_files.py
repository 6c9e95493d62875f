"""Other files and texts that can hold code: YAML, label trees, and configs in checkpoints.

Guards   ``mmengine.load`` of .yaml, mmdet's label tree of OpenImages, and ``Config.fromstring``
         where a host calls it, which is on the text that a checkpoint carries (at resume, and in an
         inferencer that is given weights alone)
Pickles  :mod:`mmext.compat.pickles`
Trust    :mod:`mmext.compat.trust`
"""

import functools
from collections.abc import Callable
from typing import Any

from mmext.compat import trust
from mmext.compat.repair import Wrapping


class UntrustedYaml(Wrapping):
    """``mmengine.load`` of YAML reads data, and the tuples that mmengine writes."""

    name = "untrusted_yaml"
    why = "mmengine reads YAML with a loader that calls whatever the file names"
    after = ("mmengine.fileio.handlers",)

    def apply(self) -> None:
        """Change the loader that is taken by default."""
        from mmengine.fileio.handlers import YamlHandler

        self.wrap(YamlHandler, "load_from_fileobj", _load_plain_yaml)


def _load_plain_yaml(original: Callable) -> Callable:
    """The handler's reading with a loader of data alone, unless a person trusts the file."""
    loader = _yaml_loader()

    @functools.wraps(original)
    def load_from_fileobj(handler: Any, file: Any, **kwargs: Any) -> Any:
        import yaml

        try:
            return original(handler, file, **{"Loader": loader, **kwargs})
        except yaml.constructor.ConstructorError as error:
            name = trust.name_of(file)
            if "python/" not in str(error.problem):
                raise
            if trust.is_trusted(name):
                file.seek(0)
                return original(handler, file, **kwargs)
            wanted = str(error.problem).rpartition("tag:yaml.org,2002:")[2].strip("'\"")
            raise trust.refusal(name, f"the tag {wanted}", "write plain values instead") from None

    return load_from_fileobj


def _yaml_loader() -> type:
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        """PyYAML's safe loader, which also knows tuples."""

    Loader.add_constructor(
        "tag:yaml.org,2002:python/tuple",
        lambda loader, node: tuple(loader.construct_sequence(node, deep=True)),
    )
    return Loader


class UntrustedLabelTree(Wrapping):
    """mmdet's label tree of OpenImages is a matrix of numbers, and is read as one."""

    name = "untrusted_label_tree"
    why = (
        "mmdet reads the label tree of OpenImages with allow_pickle=True, which lets a file run "
        "code"
    )
    after = ("mmdet.datasets.openimages",)

    def apply(self) -> None:
        """Read it without pickle."""
        from mmdet.datasets.openimages import OpenImagesChallengeDataset

        def ours(original: Callable) -> Callable:
            @functools.wraps(original)
            def get_relation_matrix(dataset: Any, hierarchy_file: str) -> Any:
                _check_matrix(hierarchy_file, dataset.backend_args)
                return original(dataset, hierarchy_file)

            return get_relation_matrix

        self.wrap(OpenImagesChallengeDataset, "_get_relation_matrix", ours)


def _check_matrix(file: str, backend_args: Any) -> None:
    """Refuse a file of numpy that holds a pickle."""
    import numpy as np
    from mmengine.fileio import get_local_path

    with get_local_path(file, backend_args=backend_args) as path:
        try:
            np.load(path, allow_pickle=False)
        except ValueError as error:
            if "pickle" not in str(error):
                raise
            if not trust.is_trusted(file):
                raise trust.refusal(
                    file, "a pickle", "get it as a matrix of numbers (numpy.save)"
                ) from None


class UntrustedConfigs(Wrapping):
    """The config text that a checkpoint carries is not run.

    Reading it without running it would not be enough: a config builds whatever its ``type`` names.
    """

    name = "untrusted_configs"
    why = (
        "mmengine runs the config text in a checkpoint, at resume and in inferencers without a "
        "config"
    )
    after = ("mmengine.config.config",)

    def apply(self) -> None:
        """Stand before ``Config.fromstring``; your own calls of it are left alone."""
        from mmengine.config.config import Config

        self.wrap(Config, "fromstring", _refuse_for_hosts)


def _refuse_for_hosts(original: Callable) -> Callable:
    """``Config.fromstring`` that runs no text for a host, unless a person trusts the file."""

    @functools.wraps(original)
    def fromstring(cfg_str: str, file_format: str) -> Any:
        if trust.asked_by_host() and not trust.is_trusted(name := trust.name_of()):
            advice = (
                "give the config itself (model=CONFIG); instead of resuming, start with "
                "load_from=FILE"
            )
            raise trust.refusal(name, "a config in it that would be run as Python", advice)
        return original(cfg_str, file_format)

    return fromstring
