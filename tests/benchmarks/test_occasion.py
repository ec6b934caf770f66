"""Where figures were measured: whichever runtime is installed, and the GPU if there is one."""

from importlib.metadata import PackageNotFoundError

import pytest

from benchmarks.occasion import occasion


def test_occasion_when_the_runtime_is_the_gpus_package_then_it_is_named_and_so_is_the_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed = {"onnxruntime-gpu": "1.31.1", "torch": "2.13.0+cpu"}

    def version(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr("benchmarks.occasion.version", version)
    monkeypatch.setattr("benchmarks.occasion.gpu_at_hand", lambda: "sm90 NVIDIA H200")

    found = occasion()

    assert found["versions"].startswith("onnxruntime-gpu 1.31.1, torch 2.13.0, Python ")
    assert found["machine"].endswith(" cores, sm90 NVIDIA H200")


def test_occasion_when_there_is_no_gpu_then_the_machine_is_its_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.occasion.gpu_at_hand", lambda: None)

    assert occasion()["machine"].endswith(" cores")
