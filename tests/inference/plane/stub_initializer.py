"""A stand-in for the initializer: it refuses releases called tampered or ffffffffffff.

It never reaches the store of eeeeeeeeeeee.
"""

import pathlib
import sys

uri, folder = sys.argv[1:]
if "tampered" in uri or uri.endswith("ffffffffffff"):
    print(f"initializer: {uri}: model.onnx does not match its statement; seal it again")
    raise SystemExit(3)
if uri.endswith("eeeeeeeeeeee"):
    print(f"initializer: {uri}: the object store did not answer; run again")
    raise SystemExit(75)
pathlib.Path(folder).mkdir(parents=True)
(pathlib.Path(folder) / "version").write_text(uri.rpartition("/")[2])
