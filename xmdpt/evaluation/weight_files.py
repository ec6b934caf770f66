"""Networks filled from files that the user brings, strictly: every key, every shape.

Does not read the files itself (`xmdpt.nn.weight_files`); turns what that says into this package's `InputError`.
"""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from xmdpt.evaluation.mistakes import InputError
from xmdpt.nn.weight_files import CheckpointError, check_fit, read_state

# Counts that only training uses; older files lack them.
_BATCH_COUNTS = "num_batches_tracked"


def fill(network: nn.Module, paths: Sequence[Path], unused: tuple[str, ...] = ()) -> None:
    """Fill a network from a state dict, which must fit it key by key and shape by shape.

    Args:
        network: to be filled.
        paths: safetensors files, or files of `torch.save`, of which only tensors are unpickled; taken together.
        unused: beginnings of keys that may be there and that the network does not have.

    Raises:
        InputError: a file cannot be read or is none of weights, or they do not fit; names the first bad key.
    """
    try:
        given: dict[str, Tensor] = {}
        for path in paths:
            given |= read_state(path)
        own = network.state_dict()
        taken = {
            name: t for name, t in given.items() if not name.startswith(unused) and not name.endswith(_BATCH_COUNTS)
        }
        check_fit(
            {name: tuple(t.shape) for name, t in own.items() if not name.endswith(_BATCH_COUNTS)}, taken, paths[0]
        )
    except CheckpointError as error:
        raise InputError(str(error)) from None
    except OSError as error:
        raise InputError(
            f"{error.filename or paths[0]}: {error.strerror or 'cannot be read'}; correct the path"
        ) from None
    network.load_state_dict(own | taken)
