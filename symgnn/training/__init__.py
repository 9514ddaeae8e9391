"""Training, selection and evaluation of models."""
