"""Stands for the process that measures models: costs follow from the config's text alone."""

import json
import os
import re
import sys
from pathlib import Path


def main():
    if "FAKE_METER_BREAKS" in os.environ:
        sys.exit("no torch here")
    with open(sys.argv[sys.argv.index("--out") + 1], "w") as out:
        print("ready", file=out, flush=True)
        for line in sys.stdin:
            depth = int(re.search(r"depth=(\d+)", Path(line.strip()).read_text())[1])
            if depth == 8:
                os._exit(9)
            answer = None if depth == 7 else {"macs": 100.0 * depth, "pid": os.getpid()}
            print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
