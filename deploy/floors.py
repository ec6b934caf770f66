"""Print the lowest versions of direct dependencies that a wheel allows, as constraints for pip.

`python deploy/floors.py dist/*.whl`. Those of all extras are there: a constraint installs nothing by itself. What
dependencies depend on has no constraint: pip takes the newest.
"""

import sys
import zipfile
from pathlib import Path

from packaging.metadata import Metadata


def main() -> int:
    """Print a constraint a line; returns the exit status."""
    if len(sys.argv) != 2:
        print("usage: python deploy/floors.py WHEEL", file=sys.stderr)
        return 2
    print("\n".join(floors_of(Path(sys.argv[1]))))
    return 0


def floors_of(wheel: Path) -> list[str]:
    """Return `name==version` of every dependency, sorted.

    Raises:
        ValueError: a dependency has no lower bound.
    """
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        # Unvalidated: the newest fields of metadata are no business of this.
        metadata = Metadata.from_email(archive.read(path), validate=False)
    floors = set()
    for requirement in metadata.requires_dist or []:
        if requirement.name == metadata.name:
            continue  # An extra that is made of others.
        lowest = [each.version for each in requirement.specifier if each.operator in {">=", "=="}]
        if not lowest:
            raise ValueError(f"{wheel}: {requirement} has no lower bound")
        floors.add(f"{requirement.name}=={lowest[0]}")
    return sorted(floors)


if __name__ == "__main__":
    sys.exit(main())
