"""make -j2 building a C project with gcc."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from .midwork import Program, need

Survives = Callable[[Program], None]
MODULES = 16


def project(folder: Path) -> None:
    """Writes a makefile and MODULES source files, each of them some work for the optimiser."""
    source = random.Random(1)
    for number in range(MODULES):
        functions = []
        for index in range(40):
            terms = " ".join(
                f"x = (x * {source.randint(3, 999)}u + {source.randint(0, 999)}u) ^ (x >> {source.randint(1, 31)});"
                f" if (x % {source.randint(2, 9)}u == 0) x += f{number}_{index - 1 if index else 0}_leaf(x);"
                for _ in range(6)
            )
            functions.append(
                f"static unsigned f{number}_{index}_leaf(unsigned x) {{ return x * {source.randint(3, 99)}u + 1; }}\n"
                f"static unsigned f{number}_{index}(unsigned x)\n"
                f"{{ for (int i = 0; i < 9; i++) {{ {terms} }} return x; }}\n"
            )
        calls = " ".join(f"x ^= f{number}_{index}(x);" for index in range(40))
        functions.append(f"unsigned module_{number}(unsigned x) {{ {calls} return x; }}\n")
        (folder / f"module_{number}.c").write_text("".join(functions))
    declarations = "".join(f"unsigned module_{number}(unsigned);\n" for number in range(MODULES))
    calls = " ".join(f"x = module_{number}(x);" for number in range(MODULES))
    (folder / "main.c").write_text(
        f"#include <stdio.h>\n{declarations}"
        f'int main(void) {{ unsigned x = 1; {calls} printf("%u\\n", x); return 0; }}\n'
    )
    objects = " ".join(f"module_{number}.o" for number in range(MODULES))
    (folder / "Makefile").write_text(
        f"run: program\n\t./program >result\n"
        f"program: main.o {objects}\n\t$(CC) -o $@ $^\n"
        "%.o: %.c\n\t@$(CC) -O2 -c -o $@ $<\n"
    )


def half_built(folder: Path) -> bool:
    return sum(1 for _ in folder.glob("module_*.o")) >= MODULES // 4


@need("make", "gcc")
def test_make(survives: Survives) -> None:
    """make, its job server's pipe, and compilers in the middle of their work."""
    survives(
        Program(
            "make",
            ("make", "-j2", "CC=gcc"),
            prepare=project,
            working=half_built,
            results=("program", "result", *(f"module_{number}.o" for number in range(MODULES))),
        )
    )
