# SPDX-License-Identifier: LGPL-2.1-or-later
# Adds up meson's testlog.json (one test program a line): the counts that each program printed last,
# "N passed, N failed, N skipped" or gst-check's "Checks: N, Failures: N, Errors: N". A program that
# printed no count is one test; one that failed without counting a failure (a crash, a timeout) is one
# failure more.

function field (text, pattern,    number) {
  if (!match (text, pattern))
    return 0
  number = substr (text, RSTART, RLENGTH)
  gsub (/[^0-9]/, "", number)
  return number + 0
}

{
  line = $0
  result = match (line, /"result": "[A-Z]+"/) ? substr (line, RSTART + 11, RLENGTH - 12) : "?"
  p = f = s = counted = 0
  rest = line
  while (match (rest, /[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?/)) {
    last = substr (rest, RSTART, RLENGTH)
    rest = substr (rest, RSTART + RLENGTH)
    p = field(last, "[0-9]+ passed"); f = field(last, "[0-9]+ failed"); s = field(last, "[0-9]+ skipped")
    counted = 1
  }
  rest = line
  while (!counted && match (rest, /Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+/)) {
    last = substr (rest, RSTART, RLENGTH)
    rest = substr (rest, RSTART + RLENGTH)
    bad = field(last, "Failures: [0-9]+") + field(last, "Errors: [0-9]+")
    checks = field(last, "Checks: [0-9]+")
    p += checks - bad
    f += bad
    seen = 1
  }
  counted = counted || seen
  seen = 0
  if (result == "SKIP" && !counted)
    s = 1
  else if (result == "OK" && !counted)
    p = 1
  else if (result != "OK" && result != "SKIP" && f == 0)
    f = 1
  passed += p; failed += f; skipped += s
}

END {
  if (passed + failed == 0 || (status != 0 && failed == 0))
    failed++ # nothing ran, or meson itself failed
  printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
  exit failed ? 1 : 0
}
