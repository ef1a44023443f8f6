"""The forms that a trained model is carried away in; without torch, for the command line names them too."""

from typing import Literal

Format = Literal["merged-bf16", "merged-int8", "merged-nf4", "bundle"]
"""One set of weights in bfloat16, in LLM.int8, in nf4 again; or base and adapter as they were trained, side by side."""
