"""What upstream's tools make of configurations and directories, and the scripts that asked them."""
