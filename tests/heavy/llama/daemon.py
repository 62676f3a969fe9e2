"""`prismfs`, told the name of the vocabularies that the variants have: a byte-level BPE is known by its hash.

    python -m tests.heavy.llama.daemon mount SOURCE MOUNTPOINT

Its planning processes are forked from it, so they know it as well.
"""

import sys

from fsd.cli import main
from tests.oracle.families.side_files import PRINTS
from translators.vocab.pretokenizers import NAMES

if __name__ == "__main__":
    NAMES.update(PRINTS)
    sys.exit(main())
