"""How fast files of the mount are read, against plain files and against rclone: `make bench-io`."""
