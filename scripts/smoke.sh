#!/usr/bin/env bash
# Builds the wheel, installs it into an environment without development tools, and uses it as a newcomer would, outside
# of the source tree: what works only from a checkout fails here. Leaves nothing behind.
#
#   scripts/smoke.sh PYTHON        a Python that has the package `build`
set -euo pipefail

cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

step() { printf '\n== smoke: %s\n' "$*"; }

step "build the source archive, and the wheel from it"
"$1" -m build --outdir "$work/dist" . >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; exit 1; }

step "install it by itself"
"$1" -m venv "$work/venv"
"$1" -m venv "$work/small"
install=("$work/venv/bin/python" -m pip --disable-pip-version-check install --quiet --constraint constraints.txt)
"${install[@]}" torch
wheel=$(echo "$work"/dist/*.whl)
"${install[@]}" "${wheel}[optimize]"

cd "$work"
forgeml=$work/venv/bin/forgeml

step "forgeml --help"
"$forgeml" --help >/dev/null

step "train on a few rows"
sed "s|: quickstart/starter|: $root/quickstart/starter|" "$root/quickstart/config.yaml" >config.yaml
"$forgeml" train config.yaml \
  --data.train_split "train[:64]" --data.validation_split "validation[:32]" --data.test_split "test[:32]" \
  --mlflow.tracking_uri "sqlite:///$work/mlflow.db" --output_dir "$work/out"

step "predict"
"$forgeml" predict out/best_model --json "A warm, funny film that I would see again." >prediction.json
cat prediction.json
venv/bin/python - <<'PYTHON'
import json

(found,) = [json.loads(line) for line in open("prediction.json", encoding="utf-8")]
assert found["label"] in {"negative", "positive"}, found
assert abs(sum(found["scores"].values()) - 1) < 1e-3, found
PYTHON

step "predict without torch: a small installation, and the files that optimize has written"
"$forgeml" optimize out/best_model --texts 32 --min-agreement 0 --max-drop 100
grep -q '"name": "\(onnx\|openvino\)' out/best_model/forgeml.json || { echo "torch is the fastest here, so there is nothing to try" >&2; exit 1; }
install=("$work/small/bin/python" -m pip --disable-pip-version-check install --quiet --constraint "$root/constraints.txt")
"${install[@]}" "${wheel}[onnx,openvino]"
"$work/small/bin/forgeml" predict out/best_model --json "A warm, funny film that I would see again." >small.json
cat small.json
"$work/small/bin/python" - <<'PYTHON'
import importlib.util
import json

assert not any(importlib.util.find_spec(name) for name in ("torch", "transformers", "pyarrow"))
(large,), (small,) = ([json.loads(line) for line in open(name, encoding="utf-8")] for name in ("prediction.json", "small.json"))
assert small["label"] == large["label"], (small, large)
PYTHON

step "done"
