"""What guards the workspace: nothing leaves but through `egress`, and keys are found by `secrets` alone."""
