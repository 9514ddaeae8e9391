"""Which edges and atoms a prediction rests on."""
