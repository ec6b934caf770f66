"""Renders persons and prepares their pictures for the denoiser, on all cores: `python -m xmdpt.training prepare`.

Does not own the folder's format (`xmdpt.training.prepared`). A picture is rendered, encoded and forgotten.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from xmdpt.evaluation.mistakes import InputError, RunError
from xmdpt.nn.patch_vae import PatchVae
from xmdpt.nn.weight_files import CheckpointError, check_fit, read_state
from xmdpt.persons.domain import DOMAINS
from xmdpt.persons.rasteriser import load_rasteriser
from xmdpt.persons.render import render_pair
from xmdpt.repository import file_digest
from xmdpt.spec import PatchVaeConfig
from xmdpt.training.prepared import PERSONS_PER_CHUNK, chunk_path, prepare_chunk
from xmdpt.training.run_files import RunFolder
from xmdpt.training.workers import begin_work

_IN_BUNDLE = "vae."


@dataclass(frozen=True)
class PrepareRequest:
    """What to prepare.

    Attributes:
        out: folder, made if need be.
        autoencoder: safetensors file that the autoencoder's training wrote.
        shape: of that autoencoder.
        persons: how many.
        views: pictures of each, 2 or more.
        domain: name in `xmdpt.persons.domain.DOMAINS`.
        seed: person i is that of seed + i.
        jobs: processes.
    """

    out: Path
    autoencoder: Path
    shape: PatchVaeConfig
    persons: int
    views: int
    domain: str
    seed: int
    jobs: int


def prepare(request: PrepareRequest) -> str:
    """Prepare the chunks that the folder lacks; shows progress on the error stream.

    Returns:
        One line for the terminal.

    Raises:
        InputError: the autoencoder does not fit, or the folder holds something else.
        RunError: the disk or a process failed; what is written stays good.
    """
    read_autoencoder(request.shape, request.autoencoder)
    # The last chunk may be short, so that another number of persons is another folder.
    described = ("persons", "views", "domain", "seed")
    description = {name: getattr(request, name) for name in described}
    try:
        RunFolder(request.out, {**description, "autoencoder": file_digest(request.autoencoder)})
    except OSError as error:
        raise RunError(f"{error.filename or request.out}: {error.strerror or error}") from None
    numbers = range(-(-request.persons // PERSONS_PER_CHUNK))
    missing = [number for number in numbers if not chunk_path(request.out, number).exists()]
    load_rasteriser()
    spawn = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(request.jobs, spawn, initializer=_begin_work) as pool:
            jobs = [pool.submit(_prepare_chunk, request, number) for number in missing]
            with tqdm(total=len(numbers), initial=len(numbers) - len(missing), unit="chunk", desc="prepare") as bar:
                try:
                    for job in as_completed(jobs):
                        job.result()
                        bar.update()
                finally:
                    pool.shutdown(cancel_futures=True)
    except OSError as error:
        raise RunError(f"{error.filename or request.out}: {error.strerror or error}") from None
    except BrokenProcessPool:
        raise RunError("a process died, perhaps for want of memory; fewer --jobs need less") from None
    pictures = request.persons * request.views
    return f"{request.out}: {pictures:,} pictures, {len(missing)} chunks prepared, {len(numbers) - len(missing)} kept"


def read_autoencoder(shape: PatchVaeConfig, path: Path) -> PatchVae:
    """Return a trained autoencoder, for use: of the file that its training wrote, or of a bundle.

    Raises:
        InputError: the file is missing or does not fit.
    """
    vae = PatchVae(shape)
    try:
        state = read_state(path)
        in_bundle = {
            name.removeprefix(_IN_BUNDLE): value for name, value in state.items() if name.startswith(_IN_BUNDLE)
        }
        state = in_bundle or state
        check_fit({name: tuple(tensor.shape) for name, tensor in vae.state_dict().items()}, state, path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; make it by python -m xmdpt.training autoencoder") from None
    except CheckpointError as error:
        raise InputError(str(error)) from None
    vae.load_state_dict(state)
    return vae.eval().requires_grad_(False)


def _prepare_chunk(request: PrepareRequest, number: int) -> None:
    first = number * PERSONS_PER_CHUNK
    people = [
        render_pair(request.seed + index, DOMAINS[request.domain], "train", num_views=request.views).views
        for index in range(first, min(first + PERSONS_PER_CHUNK, request.persons))
    ]
    pictures = np.stack([[view.picture for view in views] for views in people])
    key_points = np.stack([[view.key_points for view in views] for views in people])
    chunk = prepare_chunk(_autoencoder(request.shape, request.autoencoder), pictures, key_points)
    chunk.save(chunk_path(request.out, number))


_autoencoder = cache(read_autoencoder)


def _begin_work() -> None:
    begin_work()
    # Processes, not threads, are what runs in parallel here.
    torch.set_num_threads(1)
