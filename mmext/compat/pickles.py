"""Pickles that hold data: read as data, wherever a host reads one.

Guards   ``mmengine.load`` of .pkl (annotations, proposals, results, skeletons), and mmseg's pickled
         volumes
Reads    numbers, text, containers, dates, numpy arrays, tensors, and the hosts' own structures
Trust    :mod:`mmext.compat.trust`
"""

import io
import pickle
from collections.abc import Callable
from typing import Any

from mmext.compat import trust
from mmext.compat.checkpoints import load_weights
from mmext.compat.repair import Wrapping

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


class UntrustedPickles(Wrapping):
    """``mmengine.load`` of a pickle reads data alone."""

    name = "untrusted_pickles"
    why = "annotations, proposals and results are read with pickle.load, which lets a file run code"
    after = ("mmengine.fileio.handlers",)

    def apply(self) -> None:
        """Stand in for the handler's reading."""
        from mmengine.fileio.handlers import PickleHandler

        def ours(original: Callable) -> Callable:
            def load_from_fileobj(handler: Any, file: Any, **kwargs: Any) -> Any:
                return load_pickle(file, **kwargs)

            return load_from_fileobj

        self.wrap(PickleHandler, "load_from_fileobj", ours)


class UntrustedVolumes(Wrapping):
    """mmseg's ``decode_backend='pickle'`` reads arrays alone."""

    name = "untrusted_volumes"
    why = "mmseg reads pickled volumes with pickle.loads, which lets a file run code"
    after = ("mmseg.utils.io",)

    def apply(self) -> None:
        """Give this one module another ``pickle``."""
        from mmseg.utils import io as module

        self.wrap(module, "pickle", lambda _: _Pickle())


class _Pickle:
    """Of ``pickle``, what mmseg uses."""

    @staticmethod
    def loads(content: bytes) -> Any:
        return load_pickle(io.BytesIO(content))
