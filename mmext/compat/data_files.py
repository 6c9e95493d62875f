"""Data files that can hold code: pickles, YAML, volumes, label trees, and configs in checkpoints.

Guards   ``mmengine.load`` of .pkl and .yaml (annotations, proposals, results, skeletons), mmseg's
         pickled volumes, mmdet's label tree of OpenImages, and ``Config.fromstring`` where a host
         calls it, which is on the text that a checkpoint carries (at resume, and in an inferencer
         that is given weights alone)
Reads    numbers, text, containers, dates, numpy arrays, tensors, and the hosts' own structures
Trust    :mod:`mmext.compat.trust`
"""

import functools
import io
import pickle
import sys
from collections.abc import Callable
from typing import Any

from mmext.compat import trust
from mmext.compat.checkpoints import load_weights
from mmext.compat.repair import Repair

PLAIN = {
    "builtins": {
        "bytearray",
        "complex",
        "dict",
        "frozenset",
        "list",
        "object",
        "range",
        "set",
        "slice",
        "tuple",
    },
    "collections": {"Counter", "OrderedDict", "defaultdict", "deque"},
    "copyreg": {"_reconstructor"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "numpy": {"dtype", "ndarray"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.numeric": {"_frombuffer"},
    "numpy._core.numeric": {"_frombuffer"},
    "torch": {"Size", "device", "Tensor"},
    "torch._utils": {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter"},
    "torch.nn.parameter": {"Parameter"},
}
"""What a pickle of data may name; calling these runs nothing but their own construction."""

STRUCTURES = ("mmengine.structures", "mmdet.structures", "mmseg.structures", "mmaction.structures")
"""Where the classes of predictions live that the hosts' tools write to disk."""

RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}
"""Modules as Python 2, and so a pickle of protocol 2 or below, calls them."""


class _Part(io.BytesIO):
    """Bytes out of a file that has a name."""

    name = ""


class DataUnpickler(pickle.Unpickler):
    """Python's unpickler for data alone, of a file that is called ``name``."""

    name = ""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle names, if it is data.

        Raises:
            pickle.UnpicklingError: it could do more than hold data.
        """
        module = RENAMED.get(module, module)
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return self._load_storage
        if (module, name) == ("_codecs", "encode"):
            return lambda text, encoding: text.encode(encoding)  # of bytes, in protocol 2
        found = None
        if name in PLAIN.get(module, ()) or (module == "numpy.dtypes" and name.endswith("DType")):
            found = super().find_class(module, name)
        elif module == "torch":
            found = self._dtype(name)
        elif _is_structure(module):
            found = super().find_class(module, name)
            found = found if isinstance(found, type) and _is_structure(found.__module__) else None
        if found is None:
            raise pickle.UnpicklingError(f"GLOBAL {module}.{name}")
        return found

    def _load_storage(self, content: bytes) -> Any:
        part = _Part(content)
        part.name = self.name
        return load_weights(part)

    def _dtype(self, name: str) -> Any:
        import torch

        found = getattr(torch, name, None)
        return found if isinstance(found, torch.dtype) else None


def _is_structure(module: str) -> bool:
    return ".".join(module.split(".")[:2]) in STRUCTURES


def load_pickle(file: Any, **kwargs: Any) -> Any:
    """``pickle.load`` of data alone, unless a person trusts the file.

    Raises:
        UntrustedFileError: the file names something else; nothing of it has run.
    """
    name, start = trust.name_of(file), file.tell()
    try:
        reader = DataUnpickler(file, **kwargs)
        reader.name = name
        return reader.load()
    except pickle.UnpicklingError as error:
        kind, _, wanted = str(error).partition(" ")
        if kind != "GLOBAL":
            raise  # damaged
        if trust.is_trusted(name):
            file.seek(start)
            return pickle.load(file, **kwargs)
        advice = "get it as JSON, or as arrays and numbers alone, from a source that you trust"
        raise trust.refusal(name, f"a use of {wanted}", advice) from None


class UntrustedPickles(Repair):
    """``mmengine.load`` of a pickle reads data alone."""

    name = "untrusted_pickles"
    why = "annotations, proposals and results are read with pickle.load, which lets a file run code"
    after = ("mmengine.fileio.handlers",)

    def needed(self) -> bool:
        """True once it is there."""
        return self.after[0] in sys.modules

    def apply(self) -> None:
        """Stand in for the handler's reading."""
        from mmengine.fileio.handlers import PickleHandler

        self.original = PickleHandler.load_from_fileobj

        def load_from_fileobj(handler: Any, file: Any, **kwargs: Any) -> Any:
            return load_pickle(file, **kwargs)

        self.ours = PickleHandler.load_from_fileobj = load_from_fileobj

    def undo(self) -> None:
        """Give the handler its way back."""
        from mmengine.fileio.handlers import PickleHandler

        if PickleHandler.load_from_fileobj is self.ours:
            PickleHandler.load_from_fileobj = self.original


class UntrustedYaml(Repair):
    """``mmengine.load`` of YAML reads data, and the tuples that mmengine writes."""

    name = "untrusted_yaml"
    why = "mmengine reads YAML with a loader that calls whatever the file names"
    after = ("mmengine.fileio.handlers",)

    def needed(self) -> bool:
        """True once it is there."""
        return self.after[0] in sys.modules

    def apply(self) -> None:
        """Change the loader that is taken by default."""
        from mmengine.fileio.handlers import YamlHandler

        self.original = original = YamlHandler.load_from_fileobj
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
                raise trust.refusal(
                    name, f"the tag {wanted}", "write plain values instead"
                ) from None

        self.ours = YamlHandler.load_from_fileobj = load_from_fileobj

    def undo(self) -> None:
        """Give the handler its way back."""
        from mmengine.fileio.handlers import YamlHandler

        if YamlHandler.load_from_fileobj is self.ours:
            YamlHandler.load_from_fileobj = self.original


def _yaml_loader() -> type:
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        """PyYAML's safe loader, which also knows tuples."""

    Loader.add_constructor(
        "tag:yaml.org,2002:python/tuple",
        lambda loader, node: tuple(loader.construct_sequence(node, deep=True)),
    )
    return Loader


class UntrustedVolumes(Repair):
    """mmseg's ``decode_backend='pickle'`` reads arrays alone."""

    name = "untrusted_volumes"
    why = "mmseg reads pickled volumes with pickle.loads, which lets a file run code"
    after = ("mmseg.utils.io",)

    def needed(self) -> bool:
        """True once it is there."""
        return self.after[0] in sys.modules

    def apply(self) -> None:
        """Give this one module another ``pickle``."""
        from mmseg.utils import io as module

        self.module, self.original = module, module.pickle
        self.ours = module.pickle = _Pickle()

    def undo(self) -> None:
        """Give it Python's again."""
        if self.module.pickle is self.ours:
            self.module.pickle = self.original


class _Pickle:
    """Of ``pickle``, what mmseg uses."""

    @staticmethod
    def loads(content: bytes) -> Any:
        return load_pickle(io.BytesIO(content))


class UntrustedLabelTree(Repair):
    """mmdet's label tree of OpenImages is a matrix of numbers, and is read as one."""

    name = "untrusted_label_tree"
    why = (
        "mmdet reads the label tree of OpenImages with allow_pickle=True, which lets a file run "
        "code"
    )
    after = ("mmdet.datasets.openimages",)

    def needed(self) -> bool:
        """True once it is there."""
        return self.after[0] in sys.modules

    def apply(self) -> None:
        """Read it without pickle."""
        from mmdet.datasets.openimages import OpenImagesChallengeDataset as Dataset

        self.original = original = Dataset._get_relation_matrix

        @functools.wraps(original)
        def get_relation_matrix(dataset: Any, hierarchy_file: str) -> Any:
            _check_matrix(hierarchy_file, dataset.backend_args)
            return original(dataset, hierarchy_file)

        self.ours = Dataset._get_relation_matrix = get_relation_matrix

    def undo(self) -> None:
        """Give the data set its way back."""
        from mmdet.datasets.openimages import OpenImagesChallengeDataset as Dataset

        if Dataset._get_relation_matrix is self.ours:
            Dataset._get_relation_matrix = self.original


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


class UntrustedConfigs(Repair):
    """The config text that a checkpoint carries is not run.

    Reading it without running it would not be enough: a config builds whatever its ``type`` names.
    """

    name = "untrusted_configs"
    why = (
        "mmengine runs the config text in a checkpoint, at resume and in inferencers without a "
        "config"
    )
    after = ("mmengine.config.config",)

    def needed(self) -> bool:
        """True once it is there."""
        return self.after[0] in sys.modules

    def apply(self) -> None:
        """Stand before ``Config.fromstring``; your own calls of it are left alone."""
        from mmengine.config.config import Config

        self.original = original = Config.fromstring

        @functools.wraps(original)
        def fromstring(cfg_str: str, file_format: str) -> Any:
            if trust.asked_by_host() and not trust.is_trusted(name := trust.name_of()):
                advice = (
                    "give the config itself (model=CONFIG); instead of resuming, start with "
                    "load_from=FILE"
                )
                raise trust.refusal(name, "a config in it that would be run as Python", advice)
            return original(cfg_str, file_format)

        self.ours: Callable = fromstring
        Config.fromstring = staticmethod(fromstring)

    def undo(self) -> None:
        """Give the host its function back."""
        from mmengine.config.config import Config

        if Config.fromstring is self.ours:
            Config.fromstring = staticmethod(self.original)
