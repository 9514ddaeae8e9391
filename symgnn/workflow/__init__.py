"""What the workflow needs beside the stages: configuration, plan, costs, locks, ledger, status."""
