"""`python -m fsd.cli` is `prismfs`."""

import sys

from fsd.cli import main

sys.exit(main())
