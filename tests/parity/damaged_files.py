"""Ways in which a file of weights can be wrong, each written over a DINOv2 file, and words of what is said then."""

import pickle
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from tests.parity.official_files import State


class Command:
    """What a hostile file would have run by whoever unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def as_pickle(path: Path, value: object) -> None:
    path.write_bytes(pickle.dumps(value))


def renamed(state: State) -> State:
    return {name.replace("norm.bias", "norm.bais"): tensor for name, tensor in state.items()}


def without_a_key(state: State) -> State:
    return {name: tensor for name, tensor in state.items() if name != "cls_token"}


def with_(name: str, value: Callable[[Tensor], object]) -> Callable[[State], State]:
    return lambda state: state | {name: value(state[name])}  # type: ignore[dict-item]


DAMAGED: dict[str, tuple[Callable[[State, Path], object], str]] = {
    "renamed key": (lambda s, p: torch.save(renamed(s), p), "missing norm.bias; unexpected norm.bais"),
    "missing key": (lambda s, p: torch.save(without_a_key(s), p), "missing cls_token"),
    "another key": (lambda s, p: torch.save(s | {"register_tokens": s["cls_token"]}, p), "unexpected register_tokens"),
    "another shape": (
        lambda s, p: torch.save(with_("norm.bias", lambda t: t[:-1])(s), p),
        "norm.bias has shape [191] instead of [192]",
    ),
    "position table of another picture size": (
        lambda s, p: torch.save(with_("pos_embed", lambda t: t[:, :257])(s), p),
        "pos_embed has shape [1, 257, 192] instead of [1, 1370, 192]",
    ),
    "integers": (lambda s, p: torch.save(with_("norm.bias", lambda t: t.long())(s), p), "norm.bias holds int64"),
    "double precision": (lambda s, p: torch.save(with_("norm.bias", lambda t: t.double())(s), p), "holds float64"),
    "not a number": (lambda s, p: torch.save(with_("norm.bias", lambda t: t / 0 - t / 0)(s), p), "not finite"),
    "nested": (lambda s, p: torch.save({"model": s}, p), "its entry 'model' is a dict"),
    "list": (lambda s, p: torch.save(list(s.values()), p), "holds a list, not tensors by name"),
    "one tensor": (lambda s, p: torch.save(s["norm.bias"], p), "holds a Tensor, not tensors by name"),
    "number instead of a tensor": (lambda s, p: torch.save(s | {"epoch": 7}, p), "its entry 'epoch' is a int"),
    "truncated": (
        lambda s, p: (torch.save(s, p), p.write_bytes(p.read_bytes()[: p.stat().st_size // 2])),
        "not a whole file of weights",
    ),
    "first bytes only": (lambda s, p: (torch.save(s, p), p.write_bytes(p.read_bytes()[:100])), "not a whole file"),
    "empty": (lambda _s, p: p.write_bytes(b""), "not a whole file of weights"),
    "web page": (lambda _s, p: p.write_bytes(b"<!DOCTYPE html><html>quota exceeded"), "not a whole file of weights"),
    "zip of something else": (lambda _s, p: p.write_bytes(b"PK\5\6" + bytes(18)), "not a whole file of weights"),
    "hostile pickle": (lambda _s, p: as_pickle(p, Command(p.with_name("touched"))), "not a whole file of weights"),
    "hostile torch file": (
        lambda s, p: torch.save(s | {"norm.bias": Command(p.with_name("touched"))}, p),
        "not a whole file of weights",
    ),
}
