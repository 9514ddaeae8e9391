"""The offline report: figures and pages."""
