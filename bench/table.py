# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benchmarks share: the table of figures with its verdicts, and counting lines."""
import glob
import os
import re
import subprocess

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)


def answer(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode().strip()


def counting_plugin():
    """Builds bench/count.c, and says where it is."""
    plugin = f"{TOP}/build/bench/count.so"
    os.makedirs(os.path.dirname(plugin), exist_ok=True)
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
                    "-fvisibility=hidden", "-o", plugin, f"{TOP}/bench/count.c"], check=True)
    return plugin


def counted(path):
    """What a machine with that plugin has executed up to now."""
    with open(path, "rb") as source:
        return int.from_bytes(source.read(8), "little")


def code_lines(*folders, but=None):
    """Lines that are neither blank nor comment, of sources and headers, but for paths with `but`
    in them."""
    total = 0
    for folder in folders:
        for name in glob.glob(os.path.join(TOP, folder, "**/*.[chS]"), recursive=True):
            if but and but in name:
                continue
            with open(name, encoding="utf-8") as source:
                code = COMMENT.sub("", source.read())
            total += sum(1 for line in code.splitlines() if line.strip())
    return total


def read_rows(name):
    with open(f"{TOP}/bench/{name}", encoding="ascii") as rows:
        for line in rows:
            if line.strip() and not line.startswith("#"):
                yield line.strip().split(None, 2)


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def ratio_of(first, second):
    if first is None or second is None:
        return None
    return 1.0 if first == second else second / max(first, 0.01)


def judge(ratio, bound):
    if ratio is None:
        return "not measured"
    return "good" if ratio <= float(bound) else "ABOVE"


def compare(rows, target, names, figures):
    """The table, also to build/bench; 1 if rows are above their bounds, or were not measured."""
    bad = 0
    form = "{:<58}{:>12}{:>12}{:>8}{:>7}  {}"
    print(form.format("instructions per operation", *names, "ratio", "bound", "verdict"))
    with open(f"{TOP}/build/bench/{target}", "w", encoding="ascii") as table:
        print("row", *names, "ratio", "bound", "verdict", sep="\t", file=table)
        for row, bound, what in read_rows(rows):
            first, second = (figure.get(row) for figure in figures)
            ratio = ratio_of(first, second)
            verdict = judge(ratio, bound)
            bad += verdict != "good"
            shown = "-" if ratio is None else f"{ratio:.3f}"
            print(form.format(what, number(first), number(second), shown, bound, verdict))
            print(row, number(first), number(second), shown, bound, verdict, sep="\t", file=table)
    print(f"{bad} rows above their bounds or not measured" if bad else
          "all rows within their bounds")
    return 1 if bad else 0
