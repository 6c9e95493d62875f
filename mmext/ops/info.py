"""What mmcv says of its build when an environment is described."""

from mmext.ops.table import serves


@serves("info", "get_compiler_version")
def _compiler() -> str:
    return "not available (operators by mmext)"


@serves("info", "get_compiling_cuda_version")
def _cuda() -> str:
    return "not available"
