"""Checkpoints: those that mmengine saves can be read, and none can run code.

Guards   every ``torch.load`` of a host, downloads included, on every supported torch; an untrusted
         file is refused in one sentence before anything of it runs
Trust    :mod:`mmext.compat.trust`
Limit    torch's own reader: below 2.10 it has known holes, so take a newer one for files of
         strangers
"""

import functools
import pickle
import re
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from mmext.compat import trust
from mmext.compat.harmless import entries, pickled_name
from mmext.compat.refused import place_of
from mmext.compat.repair import Repair, Wrapping

ADVICE = "get it as weights alone from a source that you trust"


class ResumeWeightsOnly(Repair):
    """Allow-list for what mmengine puts into its checkpoints; ``weights_only`` stays on.

    That is the history of losses, schedulers, the best score, and what the data set says of itself:
    :mod:`mmext.compat.harmless`.
    """

    name = "resume_weights_only"
    why = (
        "weights_only=True, the default from torch 2.6 on and ours below, refuses what mmengine "
        "saves"
    )
    before = ("mmengine.runner.checkpoint",)

    def needed(self) -> bool:
        """True wherever torch is."""
        return _has_torch()

    def apply(self) -> None:
        """Extend torch's list of harmless globals."""
        from torch.serialization import add_safe_globals, get_safe_globals

        taken = {pickled_name(entry) for entry in get_safe_globals()}
        self.added = [entry for entry in entries() if pickled_name(entry) not in taken]
        add_safe_globals(self.added)

    def undo(self) -> None:
        """Restore the list; what others have added stays."""
        from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals

        others = [entry for entry in get_safe_globals() if entry not in self.added]
        clear_safe_globals()
        add_safe_globals(others)


class UntrustedCheckpoints(Wrapping):
    """Whatever a host loads with ``torch.load`` is read as weights and numbers only.

    That is ``torch.load``'s own default from 2.6 on, but not of its download (``http://``,
    ``openmmlab://``, ``torchvision://``), and a host may ask for more.
    """

    name = "untrusted_checkpoints"
    why = "the hosts load checkpoints, features and downloads in a way that lets a file run code"
    # The first that mmengine imports, also where mmext starts with mmengine.
    before = ("mmengine.config",)

    def needed(self) -> bool:
        """True wherever torch is."""
        return _has_torch()

    def apply(self) -> None:
        """Stand before ``torch.load``."""
        import torch

        def ours(original: Callable) -> Callable:
            @functools.wraps(original)
            def load(f: Any, *args: Any, **kwargs: Any) -> Any:
                if not trust.asked_by_host():
                    return original(f, *args, **kwargs)
                return load_weights(f, *args, load=original, **kwargs)

            return load

        self.wrap(torch, "load", ours)


class UntrustedFallback(Wrapping):
    """The fork's ``_safe_torch_load`` never loads again in an unsafe way.

    Nor does it widen torch's list by the real ``getattr`` and, at the end, take our entries off it.
    """

    name = "untrusted_fallback"
    why = (
        "the forks' mmengine answers a refused checkpoint by loading it again with "
        "weights_only=False"
    )
    after = ("mmengine.runner.checkpoint",)

    def needed(self) -> bool:
        """True for the forks."""
        return hasattr(sys.modules.get("mmengine.runner.checkpoint"), "_safe_torch_load")

    def apply(self) -> None:
        """Read weights and numbers, or refuse."""
        from mmengine.runner import checkpoint

        def load(file: Any, map_location: Any = None, weights_only: Any = None) -> Any:
            return load_weights(file, map_location=map_location)

        self.wrap(checkpoint, "_safe_torch_load", lambda _: load)


def _has_torch() -> bool:
    try:
        import torch  # noqa: F401
    except ImportError:
        return False
    return True


def load_weights(file: Any, *args: Any, load: Callable | None = None, **kwargs: Any) -> Any:
    """``torch.load`` of weights and numbers only, unless a person trusts the file.

    Args:
        file: name or file object.
        args: those of ``torch.load``.
        load: ``torch.load`` itself, for those who stand before it.
        kwargs: those of ``torch.load``, except ``weights_only``.

    Raises:
        UntrustedFileError: the file wants to run code; nothing of it has run.
    """
    import torch

    load = load or torch.load
    name = trust.name_of(file)
    kwargs["weights_only"] = True
    try:
        if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 6):
            _refuse_archives_that_run_code(file)
        return load(file, *args, **kwargs)
    except (pickle.UnpicklingError, RuntimeError) as error:
        wanted = wanted_code(error)
        if wanted is None:
            raise
        if trust.is_trusted(name):
            if hasattr(file, "seek"):
                file.seek(0)
            return load(file, *args, **{**kwargs, "weights_only": False})
        place = place_of(wanted, name)
        raise trust.refusal(name, f"a use of {wanted}{place and f' at {place}'}", ADVICE) from None


def wanted_code(error: Exception) -> str | None:
    """What a refused file asked for, out of torch's message; None if the file is merely damaged."""
    text = str(error)
    asked = re.search(
        r"GLOBAL (\S+)|[Uu]nsupported class (\S+)|unrecognized function (.+?)(?: which|$)"
        r"|Can only .*got <class '(.+?)'>",
        text,
    )
    if asked:
        return next(group for group in asked.groups() if group)
    if re.search(r"TorchScript archive|legacy \.tar format", text):
        return "an archive that runs code (TorchScript or .tar)"
    return (
        "something else than numbers"
        if re.search("do not trust|allowlisted|Can only", text)
        else None
    )


def _refuse_archives_that_run_code(file: Any) -> None:
    """As torch from 2.6 on does: before, these two kinds ran although weights_only was on."""
    start = file.tell() if hasattr(file, "seek") else None
    try:
        script = zipfile.is_zipfile(file) and any(
            PurePosixPath(entry).name == "constants.pkl"
            for entry in zipfile.ZipFile(file).namelist()
        )
        if start is not None:
            file.seek(start)
        if script or tarfile.is_tarfile(file):
            raise pickle.UnpicklingError(
                "expected weights, got a TorchScript archive or the legacy .tar format"
            )
    finally:
        if start is not None:
            file.seek(start)
