"""What guards the workspace: nothing leaves but through `egress`."""
