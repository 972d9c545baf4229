#!/usr/bin/env bash
# Tells Spark which GPUs this machine or container has: one line of JSON, as spark.worker.resource.gpu.discoveryScript
# and spark.executor.resource.gpu.discoveryScript want it.
#
#   {"name":"gpu","addresses":["0","1"]}
#
# Addresses are what CUDA_VISIBLE_DEVICES takes: nvidia-smi's indices, or, where a GPU is cut up by MIG, the UUIDs of
# its instances (CUDA knows those by UUID only). CUDA_VISIBLE_DEVICES, if set, says which GPUs to offer.
# No nvidia-smi: no GPUs, which is what a CPU machine is. nvidia-smi that fails: an error, for a GPU machine whose
# driver is broken must not look like a CPU machine.
set -euo pipefail

print_addresses() {
  awk 'BEGIN { printf "{\"name\":\"gpu\",\"addresses\":[" }
       NF { gsub(/[ \t\r]/, ""); printf "%s\"%s\"", separator, $0; separator = "," }
       END { print "]}" }'
}

fail() {
  echo "gpus.sh: nvidia-smi failed: $*" >&2
  exit 1
}

if [[ -n "${CUDA_VISIBLE_DEVICES+set}" ]]; then
  # CUDA stops reading the list at the first entry that names no device, such as -1 or nothing at all.
  printf '%s\n' "${CUDA_VISIBLE_DEVICES}" | tr ',' '\n' | awk '!/^ *(GPU-|MIG-|[0-9])/ { exit } { print }' |
    print_addresses
  exit 0
fi

if ! command -v nvidia-smi >/dev/null; then
  echo "gpus.sh: there is no nvidia-smi on the PATH: no GPUs" >&2
  print_addresses </dev/null
  exit 0
fi

# Old drivers do not know MIG and refuse the field.
if modes=$(nvidia-smi --query-gpu=mig.mode.current --format=csv,noheader 2>/dev/null) && [[ "$modes" == *Enabled* ]]; then
  # A GPU with MIG on is reached through its instances only; one without is given by UUID here, so that all are alike.
  list=$(nvidia-smi -L) || fail "$list"
  printf '%s\n' "$list" | awk -v modes="$modes" '
    function uuid(line) { sub(/.*UUID: */, "", line); sub(/\).*/, "", line); return line }
    BEGIN { split(modes, mode, "\n") }
    /^GPU / { gpu++; if (mode[gpu] !~ /Enabled/) print uuid($0) }
    /^ +MIG / { print uuid($0) }' | print_addresses
else
  list=$(nvidia-smi --query-gpu=index --format=csv,noheader) || fail "$list"
  # An empty answer and this sentence both mean that the driver is there and no GPU is.
  printf '%s\n' "$list" | awk '/^ *[0-9]+ *$/' | print_addresses
fi
