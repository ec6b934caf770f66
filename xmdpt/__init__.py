"""X-MDPT, the model: its constants, tables, picture preparation, network and parity check.

Knows nothing of serving; `xmdpt.nn` alone needs torch.
"""

import os

# ONNX Runtime from 1.32 on tells its maker how it is used, unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
