"""Makes the cut of golden numbers kept here from a whole folder: `python tests/golden/cut.py REFERENCE`.

Leaves out what is not recomputed, what follows from a rule, and tokens beyond the first eight.
"""

import json
import sys
from pathlib import Path

import numpy as np

NUM_TOKENS = 8
KEPT = {
    "schedule": ("full.betas", "full.alphas_cumprod", "10.", "50.", "cfgscale_"),
    "pose_render": ("kp_in_", "kp_px_", "pose_"),
    "forward_S": ("cond.", "uncond.", "cfg_"),
    "forward_S_strong": ("cond.", "uncond.", "cfg_"),
    "sampling_S": ("timesteps", "ddim_eta0."),
}


def main(reference: Path, out: Path) -> None:
    for name, prefixes in KEPT.items():
        with np.load(reference / f"{name}.npz", allow_pickle=False) as golden:
            arrays = {key: golden[key] for key in golden.files if key.startswith(prefixes)}
        arrays = {key: array for key, array in arrays.items() if "posterior" not in key}
        is_cut = name.startswith("forward")
        kept = {key: array[:, :NUM_TOKENS] if is_cut and array.ndim == 3 else array for key, array in arrays.items()}
        np.savez_compressed(out / f"{name}.npz", **kept)
    names = json.loads((reference / "manifest.json").read_text())
    lines = [f"{json.dumps(key)}: {json.dumps(entry['shape'])}" for key, entry in names["S"].items()]
    (out / "checkpoint_S.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
