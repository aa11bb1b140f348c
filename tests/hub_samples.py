"""A bridge's files as a Hub keeps them, small and without a model behind them."""

from __future__ import annotations

import struct

# A safetensors file of one tensor, by hand: 8 bytes of length, the header, the numbers.
HEADER = b'{"weight":{"dtype":"F32","shape":[5000],"data_offsets":[0,20000]}}'
WEIGHTS = struct.pack("<Q", len(HEADER)) + HEADER + bytes(i % 251 for i in range(20_000))
CONFIG = b'{"format": 1}'
CARD = """---
library_name: ltzoo
license: apache-2.0
tags:
- ltzoo
- image
base_model:
- org/source
- org/target
model-index:
- name: bridge
  results:
  - task: {type: latent-translation}
    dataset: {type: digits, name: Digits}
    metrics:
    - {type: accuracy, value: 0.9}
---
# A bridge
"""
FILES = {"README.md": CARD.encode(), "config.json": CONFIG, "sub/model.safetensors": WEIGHTS}
LARGE = "sub/model.safetensors"
