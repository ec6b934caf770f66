"""One person in several takes at once, with the asynchronous client: `python examples/client.py [FOLDER]`.

It needs a running service (`xmdpt-serve all`), whose address may be given as XMDPT_URL.
"""

import asyncio
import os
import sys
from pathlib import Path

from xmdpt_client import AsyncClient, Generation, XmdptError

HERE = Path(__file__).parent
SEEDS = (1, 2, 3, 4)


async def main(folder: Path) -> None:
    """Ask for all takes, and write each picture when it comes."""
    async with AsyncClient(os.environ.get("XMDPT_URL", "http://127.0.0.1:8080")) as client:
        takes = [client.generate(HERE / "person.png", HERE / "pose.json", seed=seed, steps=20) for seed in SEEDS]
        for take in asyncio.as_completed(takes):
            save(await take, folder)


def save(picture: Generation, folder: Path) -> None:
    """Write one take."""
    path = folder / f"take_{picture.seed}.png"
    picture.save(path)
    print(f"{path}  {picture.job_id}")


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
    except XmdptError as error:
        sys.exit(f"client: {error}")
