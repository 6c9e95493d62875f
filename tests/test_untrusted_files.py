"""No file that the hosts load runs code, whichever way.

A canary is what a poisoned file leaves behind.
"""

from pathlib import Path

import pytest

from tests.fresh_process import ROOT, run

# TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD makes every torch as trusting as torch below 2.6.
TRUSTING = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1", "TORCH_HOME": "hub", "MMENGINE_HOME": "home"}

POISON = """
import os, pickle, sys
import mmext, torch
from mmext.compat.trust import UntrustedFileError

class Runs:
    def __reduce__(self):
        return os.system, ("touch canary",)

def sang():
    if os.path.exists("canary"):
        os.remove("canary")
        return True
    return False

def refused(read, *words):
    try:
        read()
    except UntrustedFileError as error:
        assert all(word in str(error) for word in (*words, "MMEXT_TRUST")), error
        assert not sang()
    else:
        raise AssertionError("loaded")

torch.save(dict(state_dict={}, meta=Runs()), "poison.pth")
torch.save(dict(state_dict={}, meta=Runs()), "old.pth", _use_new_zipfile_serialization=False)
"""

SERVER = """
import functools, http.server, threading
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=".")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/poison.pth"
"""


def test_no_scheme_of_mmengine_runs_a_checkpoint(tmp_path: Path) -> None:
    run(
        POISON
        + SERVER
        + """
import shutil, types
from mmengine.runner import checkpoint

torch.jit.trace(torch.nn.Linear(1, 1), torch.ones(1)).save("script.pth")

class Backend:
    get = staticmethod(lambda name: open("poison.pth", "rb").read())

class Cloud(types.ModuleType):
    class modelcloud:
        @staticmethod
        def get(path):
            download = lambda target: shutil.copy("poison.pth", target)
            return types.SimpleNamespace(name="cloud.pth", download=download)

sys.modules["pavi"] = Cloud("pavi")
checkpoint.get_file_backend = lambda *_, **__: Backend
checkpoint.get_torchvision_models = checkpoint.get_mmcls_models = lambda: dict(net=url)
checkpoint.get_external_models = lambda: dict(net=url, local="poison.pth")
checkpoint.get_deprecated_model_names = dict
os.makedirs("home", exist_ok=True)
shutil.copy("poison.pth", "home")
load = checkpoint._load_checkpoint
refused(lambda: load("poison.pth"), "poison.pth: refused", "posix.system")
refused(lambda: load("old.pth"), "old.pth: refused", "posix.system")
refused(lambda: load("script.pth"), "script.pth: refused", "TorchScript")
refused(lambda: load(url), "poison.pth: refused", "posix.system")
refused(lambda: load("s3://bucket/poison.pth"), "s3://bucket/poison.pth: refused")
refused(lambda: load("pavi://poison"), "cloud.pth: refused")
refused(lambda: load("torchvision://net"), "poison.pth: refused")
refused(lambda: load("mmcls://net"), "poison.pth: refused")
refused(lambda: load("openmmlab://net"), "poison.pth: refused")
refused(lambda: load("openmmlab://local"), "poison.pth: refused")
refused(lambda: checkpoint.load_checkpoint(torch.nn.Linear(1, 1), "poison.pth"))
refused(lambda: checkpoint.CheckpointLoader.load_checkpoint("poison.pth"))
refused(lambda: checkpoint._load_checkpoint_with_prefix("net", "poison.pth"))
""",
        cwd=tmp_path,
        **TRUSTING,
    )


def test_without_the_guard_the_canary_sings(tmp_path: Path) -> None:
    """Else the other tests here would pass with a poison that does nothing."""
    run(
        POISON
        + SERVER
        + """
from mmengine.runner.checkpoint import _load_checkpoint
import mmengine
for name in ("poison.pth", "old.pth", url):
    _load_checkpoint(name)
    assert sang(), name
pickle.dump(Runs(), open("poison.pkl", "wb"))
mmengine.load("poison.pkl")
assert sang()
open("poison.yaml", "w").write("a: !!python/object/apply:os.system ['touch canary']")
mmengine.load("poison.yaml")
assert sang()
""",
        cwd=tmp_path,
        MMEXT_COMPAT="off",
        **TRUSTING,
    )


def test_undo_gives_everything_back(tmp_path: Path) -> None:
    run(
        """
        import sys
        import torch
        # starts with mmengine
        sys.meta_path[:] = [one for one in sys.meta_path if not hasattr(one, "MMEXT")]
        plain = torch.load
        import mmengine.runner.checkpoint as checkpoint
        from mmengine import Config
        from mmengine.fileio.handlers import PickleHandler, YamlHandler
        fork = getattr(checkpoint, "_safe_torch_load", None)
        all_of_it = lambda: (torch.load, Config.fromstring, PickleHandler.load_from_fileobj,
                             YamlHandler.load_from_fileobj,
                             getattr(checkpoint, "_safe_torch_load", None))
        before = all_of_it()
        import mmext
        assert all(new is not old for new, old in zip(all_of_it()[:4], before))
        assert fork is None or checkpoint._safe_torch_load is not fork
        mmext.compat.undo()
        assert all_of_it() == before and torch.load is plain
        """,
        cwd=tmp_path,
    )


def test_your_own_code_decides_for_itself(tmp_path: Path) -> None:
    run(
        POISON
        + """
import mmengine.runner
from mmengine import Config
torch.load("poison.pth", weights_only=False)
assert sang()
assert Config.fromstring("a = 1 + 1", file_format=".py").a == 2
""",
        cwd=tmp_path,
    )


def test_a_damaged_checkpoint_is_not_called_dangerous(tmp_path: Path) -> None:
    run(
        POISON
        + """
from mmengine.runner.checkpoint import _load_checkpoint
open("page.pth", "w").write("<html>")
open("half.pth", "wb").write(open("poison.pth", "rb").read()[:-200])
for name in ("page.pth", "half.pth"):
    try:
        _load_checkpoint(name)
    except UntrustedFileError:
        raise AssertionError(name)
    except (pickle.UnpicklingError, RuntimeError):
        assert not sang()
""",
        cwd=tmp_path,
    )


def test_a_person_can_trust_a_file_a_folder_or_all(tmp_path: Path) -> None:
    out = run(
        POISON
        + """
import mmengine
from mmengine.runner.checkpoint import _load_checkpoint
os.makedirs("folder", exist_ok=True)
os.rename("old.pth", "folder/old.pth")
pickle.dump(Runs(), open("folder/poison.pkl", "wb"))
open("poison.yaml", "w").write("a: !!python/object/apply:os.system ['touch canary']")
os.environ["MMEXT_TRUST"] = f"{os.getcwd()}/poison.pth, folder"
for read, name in ((_load_checkpoint, "poison.pth"), (_load_checkpoint, "folder/old.pth"),
                   (mmengine.load, "folder/poison.pkl")):
    read(name)
    assert sang(), name
refused(lambda: mmengine.load("poison.yaml"))
os.environ["MMEXT_TRUST"] = "all"
mmengine.load("poison.yaml")
assert sang()
""",
        cwd=tmp_path,
    )
    assert "poison.pth may run code: it is trusted through MMEXT_TRUST" in out


def test_pickles_and_yaml_hold_data_alone(tmp_path: Path) -> None:
    run(
        POISON
        + """
import mmengine, numpy as np
from mmengine.structures import InstanceData
good = dict(box=np.arange(4.0), names=np.array(["a", None], object), score=np.float32(0.5),
            raw=b"y", text="x", ids={1, 2}, tensor=torch.ones(2, dtype=torch.bfloat16),
            kind=torch.float16, parameter=torch.nn.Parameter(torch.zeros(1)),
            found=InstanceData(labels=torch.ones(1)))
for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
    pickle.dump(good, open("good.pkl", "wb"), protocol=protocol)
    got = mmengine.load("good.pkl")
    assert got.keys() == good.keys()
    assert got["tensor"].dtype == torch.bfloat16 and got["kind"] is torch.float16
    assert (got["box"] == good["box"]).all() and got["names"][0] == "a" and got["found"].labels == 1
    assert got["ids"] == {1, 2} and got["raw"] == b"y" and got["score"] == 0.5

class Calls:
    def __init__(self, *call):
        self.call = call
    def __reduce__(self):
        return self.call[0], self.call[1:]

class Storage:  # a checkpoint within a pickle
    def __reduce__(self):
        return torch.storage._load_from_bytes, (open("poison.pth", "rb").read(),)

poisons = (Runs(), Calls(getattr, InstanceData, "__init__"), Calls(eval, "open('canary', 'w')"),
           Storage(), Calls(torch.hub.load, "x"), dict(a=[Calls(exec, "open('canary', 'w')")]))
for number, poison in enumerate(poisons):
    for protocol in (0, 2, 4):
        pickle.dump(poison, open("poison.pkl", "wb"), protocol=protocol)
        refused(lambda: mmengine.load("poison.pkl"), "poison.pkl: refused")
        refused(lambda: mmengine.load(open("poison.pkl", "rb"), file_format="pkl"),
                "poison.pkl: refused")

mmengine.dump(dict(size=(1, 2), parts=[dict(name=None)]), "good.yaml")
assert mmengine.load("good.yaml") == dict(size=(1, 2), parts=[dict(name=None)])
call = "os.system ['touch canary']"
for tag in (f"object/apply:{call}", f"object/new:{call}", "name:os.system"):
    open("poison.yaml", "w").write(f"a: !!python/{tag}")
    refused(lambda: mmengine.load("poison.yaml"), "poison.yaml: refused", "python/")
    refused(lambda: mmengine.Config.fromfile("poison.yaml"), "poison.yaml: refused", "python/")
""",
        cwd=tmp_path,
    )


def test_what_the_hosts_load_themselves_is_guarded(tmp_path: Path) -> None:
    run(
        POISON
        + """
import numpy as np
from mmaction.models.roi_heads.shared_heads.lfb import LFB
from mmdet.datasets.openimages import OpenImagesChallengeDataset
from mmseg.utils import datafrombytes

os.makedirs("lfb", exist_ok=True)
torch.save(dict(a=Runs()), "lfb/lfb_train.pkl")
refused(lambda: LFB("lfb", dataset_modes=("train",), device="cpu"), "lfb_train.pkl: refused")

assert (datafrombytes(pickle.dumps(np.arange(3)), backend="pickle") == np.arange(3)).all()
refused(lambda: datafrombytes(pickle.dumps(Runs()), backend="pickle"))

dataset = OpenImagesChallengeDataset.__new__(OpenImagesChallengeDataset)
dataset.backend_args = None
np.save("tree.npy", np.eye(3))
assert (dataset._get_relation_matrix("tree.npy") == np.eye(2)).all()
np.save("tree.npy", np.array([[Runs()]], dtype=object))
refused(lambda: dataset._get_relation_matrix("tree.npy"), "tree.npy: refused")
""",
        cwd=tmp_path,
        **TRUSTING,
    )


RESUME = """
import toy
def checkpoint(name, **meta):
    content = torch.load("wd/epoch_2.pth", weights_only=False)
    content["meta"].update(meta)
    torch.save(content, name)
checkpoint("config.pth", config="open('canary', 'w')")
"""


@pytest.mark.parametrize("runner", ["Runner", "FlexibleRunner"])
def test_resuming_does_not_run_the_config_in_a_checkpoint(tmp_path: Path, runner: str) -> None:
    from tests.test_compat import TOY

    toy = TOY.replace("import Runner", f"import {runner} as Runner")
    if runner == "FlexibleRunner":  # which cannot resume with an EMA
        toy = toy.replace('custom_hooks=[dict(type="EMAHook")],', "")
    (tmp_path / "toy.py").write_text(toy)
    run("import toy; toy.runner('wd', 2).train()", cwd=tmp_path)
    run(
        POISON
        + RESUME
        + """
runner = lambda **more: toy.runner("wd2", 3, **more)
refused(runner(resume=True, load_from="config.pth").train, "config.pth: refused", "load_from=FILE")
runner(load_from="config.pth").train()  # its weights are harmless
assert not sang()
os.environ["MMEXT_TRUST"] = "config.pth"
runner(resume=True, load_from="config.pth").train()
assert sang()
""",
        cwd=tmp_path,
    )


def test_an_inferencer_does_not_run_the_config_in_a_checkpoint(tmp_path: Path) -> None:
    run(
        POISON
        + """
from mmengine.infer import BaseInferencer

class Inferencer(BaseInferencer):
    def __init__(self, weights):
        self._init_model({}, weights)
    preprocess = forward = visualize = postprocess = _init_pipeline = None

for stored in (dict(message_hub=dict(runtime_info=dict(cfg="open('canary', 'w')"))),
               dict(meta=dict(cfg="open('canary', 'w')"))):
    torch.save(dict(state_dict={}, **stored), "config.pth")
    refused(lambda: Inferencer("config.pth"), "config.pth: refused", "model=CONFIG")
""",
        cwd=tmp_path,
    )


START = f"exec(open({str(ROOT / 'mmext' / 'start.pth')!r}).read()); import mmengine.runner"
"""What Python does where mmext is installed, and somebody imports a host: nobody mentions mmext."""


@pytest.mark.parametrize("first", ["import mmext", "import mmengine.runner", START])
def test_the_order_of_imports_does_not_matter(tmp_path: Path, first: str) -> None:
    run(
        f"{first}\n"
        f"import sys; assert 'mmext' in sys.modules or {first == 'import mmengine.runner'}\n"
        + POISON
        + """
import mmengine
from mmengine.runner.checkpoint import _load_checkpoint
refused(lambda: _load_checkpoint("poison.pth"))
pickle.dump(Runs(), open("poison.pkl", "wb"))
refused(lambda: mmengine.load("poison.pkl"))
""",
        cwd=tmp_path,
        **TRUSTING,
    )


def test_the_forks_mmengine_does_not_load_a_second_time(tmp_path: Path) -> None:
    """The official one is given the fork's function, as far as it matters here."""
    run(
        POISON
        + """
import mmengine.runner.checkpoint as module
from mmext.compat.checkpoints import UntrustedFallback
mmext.compat.undo()
if not hasattr(module, "_safe_torch_load"):
    def _safe_torch_load(file, map_location=None, weights_only=None):
        try:
            return torch.load(file, map_location=map_location, weights_only=True)
        except pickle.UnpicklingError:
            return torch.load(file, map_location=map_location, weights_only=False)
    module._safe_torch_load = _safe_torch_load
module._safe_torch_load("poison.pth")
assert sang(), "the fork no longer has the trouble: remove the repair"
guard = UntrustedFallback()
assert guard.needed()
fork = module._safe_torch_load
guard.apply()
refused(lambda: module._safe_torch_load("poison.pth"), "poison.pth: refused")
refused(lambda: module._safe_torch_load("poison.pth", weights_only=False), "poison.pth: refused")
guard.undo()
assert module._safe_torch_load is fork
""",
        cwd=tmp_path,
    )
