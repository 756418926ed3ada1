#!/usr/bin/env bash
# Builds the addon with AddressSanitizer and UndefinedBehaviorSanitizer into build-asan/, and runs the native tests with
# it. Fails if a test fails or a sanitizer reports anything. Compile the TypeScript first.
set -euo pipefail
cd "$(dirname "$0")/.."

# node-gyp always builds into ./build of its folder, so that folder is given the sources.
mkdir -p build-asan/native
cp --recursive --update --preserve=timestamps binding.gyp package.json build-asan/
cp --recursive --update --preserve=timestamps native/src build-asan/native/
ln -sfn ../node_modules build-asan/node_modules
export GYP_DEFINES=sanitize=1
npx node-gyp configure build --directory build-asan --silent --jobs 2
if ! nm -D build-asan/build/Release/pinfold.node | grep __asan_report >/dev/null; then
  echo "test-asan: the addon was built without AddressSanitizer" >&2
  exit 1
fi

rm -f build-asan/report.*
PINFOLD_ADDON=$PWD/build-asan/build/Release/pinfold.node
# Node itself was built without sanitizers, so they must be loaded before it. It frees little at its end: no leak check.
LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libubsan.so)"
ASAN_OPTIONS=detect_leaks=0:log_path=$PWD/build-asan/report
UBSAN_OPTIONS=print_stacktrace=1:log_path=$PWD/build-asan/report
status=0
env PINFOLD_ADDON="$PINFOLD_ADDON" LD_PRELOAD="$LD_PRELOAD" ASAN_OPTIONS="$ASAN_OPTIONS" UBSAN_OPTIONS="$UBSAN_OPTIONS" \
  node node_modules/ava/entrypoints/cli.mjs 'dist/test/native/*.test.js' || status=$?

for report in build-asan/report.*; do
  [ -e "$report" ] || continue
  cat "$report"
  status=1
done
exit "$status"
