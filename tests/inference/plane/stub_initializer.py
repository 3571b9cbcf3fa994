"""A stand-in for the initializer: the URI says what happens."""

import pathlib
import sys

uri, folder = sys.argv[1:]
if "tampered" in uri:
    print(f"initializer: {uri}: model.onnx does not match its statement; seal it again")
    raise SystemExit(3)
pathlib.Path(folder).mkdir(parents=True)
(pathlib.Path(folder) / "version").write_text(uri.rpartition("/")[2])
