"""Repairs that let ``mmext::`` stand before the name of a config, as ``mmdet::`` does."""

import sys
from typing import Any

from mmext.compat.repair import Repair

NAME = "mmext"
SCOPE = f"{NAME}::"


class MmextConfigs(Repair):
    """``_base_ = "mmext::…"``: mmengine knows the packages that ship configs by a table without us.

    mmengine would also give the scope ``mmext`` to what a config takes from such a base, and then
    look for mmdet's types in it. Our configs name their scopes themselves, so a base is handed over
    without one.
    """

    name = "mmext_configs"
    why = "mmengine's table of packages that ship configs does not hold mmext"
    after = ("mmengine.config.config",)

    def needed(self) -> bool:
        """True until mmengine's table holds us."""
        if self.after[0] not in sys.modules:
            return False
        from mmengine.config.utils import MODULE2PACKAGE

        return NAME not in MODULE2PACKAGE

    def apply(self) -> None:
        """Enter us into the table, and find our files wherever they lie."""
        from mmengine.config.config import Config
        from mmengine.config.utils import MODULE2PACKAGE

        self.original = original = vars(Config)["_get_cfg_path"]

        def get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
            if not cfg_path.startswith(SCOPE):
                return original.__func__(cfg_path, filename)
            from mmext import shipped

            return str(shipped.find(cfg_path)), None

        MODULE2PACKAGE[NAME] = NAME
        self.added = staticmethod(get_cfg_path)
        Config._get_cfg_path = self.added

    def undo(self) -> None:
        """Leave the table, and mmengine's own way, as they were."""
        from mmengine.config.config import Config
        from mmengine.config.utils import MODULE2PACKAGE

        MODULE2PACKAGE.pop(NAME, None)
        if vars(Config)["_get_cfg_path"] is self.added:
            Config._get_cfg_path = self.original


class MmextHub(Repair):
    """``get_config("mmext::…")`` and ``get_model("mmext::…")`` of ``mmengine.hub``.

    mmengine would try to install an mmext that pip does not know, and look for a model's types in
    the scope ``mmext``, where mmdet's are not.
    """

    name = "mmext_hub"
    why = (
        "mmengine.hub cannot build a model whose parts belong to another scope than its config's "
        "package"
    )
    after = ("mmengine.hub.hub",)

    def apply(self) -> None:
        """Answer for our own names; all others go mmengine's way."""
        from mmengine.hub import hub

        self.original = {name: getattr(hub, name) for name in ("get_config", "get_model")}
        theirs = dict(self.original)

        def get_config(cfg_path: str, pretrained: bool = False) -> Any:
            return (
                _config(cfg_path, pretrained)
                if _is_ours(cfg_path)
                else theirs["get_config"](cfg_path, pretrained)
            )

        def get_model(cfg_path: str, pretrained: bool = False, **kwargs: Any) -> Any:
            if _is_ours(cfg_path):
                return _model(_config(cfg_path, pretrained), kwargs)
            return theirs["get_model"](cfg_path, pretrained, **kwargs)

        self.added = {"get_config": get_config, "get_model": get_model}
        _replace(self.original, self.added)

    def undo(self) -> None:
        """Restore mmengine's own."""
        _replace(self.added, self.original)


def _replace(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Put functions in the place of others, in both modules that hold them."""
    for module in map(sys.modules.get, ("mmengine.hub.hub", "mmengine.hub")):
        for name, function in new.items():
            if module is not None and vars(module).get(name) is old[name]:
                setattr(module, name, function)


def _is_ours(cfg_path: str) -> bool:
    return cfg_path.startswith(SCOPE)


def _config(cfg_path: str, pretrained: bool) -> Any:
    from mmengine.config import Config

    from mmext import shipped
    from mmext.errors import BadInputError

    if pretrained:
        raise BadInputError(
            f"{cfg_path}: expected pretrained=False, since mmext ships no trained weights, got "
            "True; leave it out, and load a checkpoint of your own"
        )
    return Config.fromfile(str(shipped.find(cfg_path)))


def _model(cfg: Any, default_args: dict[str, Any]) -> Any:
    from mmengine.registry import MODELS, DefaultScope

    if "data_preprocessor" in cfg:  # as mmengine does
        cfg.model.data_preprocessor = cfg.data_preprocessor
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        return MODELS.build(cfg.model, default_args=default_args)
