"""Which models take per-atom inputs beside the graph; apart from them, so that planning is fast."""

MODEL_INPUTS = {"response": ("response", "invariants"), "ridge": ("invariants_by_element",)}
