#!bash
# The package itself, without its dependencies: they stand in the .yaml beside this file.
set -euo pipefail
pip install --no-deps "$SYMGNN_SOURCE"
