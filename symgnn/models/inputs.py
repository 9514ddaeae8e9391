"""Which models take per-atom inputs beside the graph; apart from them, so that planning is fast."""

MODEL_INPUTS = {
    "response": ("response", "invariants"),
    "searched": ("response", "invariants", "searches"),
    "ridge": ("invariants_by_element",),
}
