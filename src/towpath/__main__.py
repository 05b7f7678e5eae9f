"""`python -m towpath` is `towpath`."""

import sys

from towpath.cli.main import main

sys.exit(main())
