#!/usr/bin/env bash
# Puts Apple's metal-cpp headers under a folder, as LATTICE_METAL_CPP wants them. They are not ours to carry: they come with the
# macOS wheel of the Python package mlx-metal (metal-cpp's own licence, Apache 2.0, lies beside them). Does nothing where they
# are there already. Usage: fetch_metal_cpp.sh <folder>
set -euo pipefail
folder=${1:?a folder is needed}
[ -f "$folder/Metal/Metal.hpp" ] && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --retries 1 --timeout 20 \
  --platform macosx_14_0_arm64 --python-version 3.12 --dest "$work" mlx-metal
python3 - "$work" "$folder" <<'PYTHON'
import pathlib
import sys
import zipfile

work, folder = map(pathlib.Path, sys.argv[1:])
inside = "mlx/include/metal_cpp/"
with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
    for name in wheel.namelist():
        if not name.startswith(inside) or name.endswith("/"):
            continue
        to = folder / pathlib.PurePosixPath(name).relative_to(inside)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(wheel.read(name))
PYTHON
[ -f "$folder/Metal/Metal.hpp" ] || { echo "the package mlx-metal has no metal-cpp any more" >&2; exit 1; }
