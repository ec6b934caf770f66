"""Makes the cut of golden numbers kept here from a whole folder: `python tests/golden/cut.py REFERENCE`.

Leaves out what follows from a rule, what other arrays show as well, and tokens beyond the first four.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np

NUM_TOKENS = 4
KEPT = {
    "schedule": ("full.", "10.", "50.", "cfgscale_"),
    "pose_render": ("kp_in_", "kp_px_", "pose_", "pose224_noaa_0"),
    "forward_S": ("cond.", "uncond.", "cfg_2.0"),
    "forward_S_strong": ("cond.", "cfg_", "masked."),
    "train_S": ("plain.vb", "plain.mse", "masked.vb", "masked.mse", "masked.loss", "total_loss"),
}
# Of these arrays the first entries along each axis: one picture and its crop, few tokens, few channels; of each step's
# latents a sixteenth, which all others have gone into by the second step.
CORNERS = {
    "sampling_S": {"timesteps": (10,), "ddim_eta0.samples": (10, 2, 4, 8, 8), "ddpm.samples": (10, 2, 4, 8, 8)},
    "dinov2_resize": {"img256_u8": (1, 3, 256, 256), "x224": (1, 1, 48, 224)},
    "dinov2_cut": {
        f"{cut}.{rule}.{name}": corner
        for cut in ("b-cut", "g-cut")
        for rule in ("base", "strong")
        for name, corner in (("out", (1, 16, 192)), ("pos", (1, 257, 4)))
    },
    "vae_tiny": {name: (1, 8, 32, 32) for name in ("moments", "sample", "dec_z.out", "dec_mode.out")},
}
WHOLE_ENCODERS = ("dinov2_vitb14", "dinov2_vitg14", "vae_ft_mse")


def main(reference: Path, out: Path) -> None:
    for name, prefixes in KEPT.items():
        with np.load(reference / f"{name}.npz", allow_pickle=False) as golden:
            arrays = {key: golden[key] for key in golden.files if key.startswith(prefixes)}
        is_cut = name.startswith("forward")
        kept = {key: array[:, :NUM_TOKENS] if is_cut and array.ndim == 3 else array for key, array in arrays.items()}
        np.savez_compressed(out / f"{name}.npz", **kept)
    for name, corners in CORNERS.items():
        with np.load(reference / f"{name}.npz", allow_pickle=False) as golden:
            kept = {key: golden[key][tuple(map(slice, corner))] for key, corner in corners.items()}
        np.savez_compressed(out / f"{name}.npz", **kept)
    shutil.copy(reference / "train_grads_S.json", out)
    names = json.loads((reference / "manifest.json").read_text())
    lines = [f"{json.dumps(key)}: {json.dumps(entry['shape'])}" for key, entry in names["S"].items()]
    (out / "checkpoint_S.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    networks = json.loads((reference / "encoders_manifest.json").read_text())
    shapes = {name: {key: entry["shape"] for key, entry in networks[name].items()} for name in WHOLE_ENCODERS}
    lines = [f"{json.dumps(name)}: {json.dumps(keys)}" for name, keys in shapes.items()]
    (out / "encoders.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
