"""`python -m outcomekpi.cli` is the command `outcomekpi`."""

from outcomekpi.cli.parser import main

raise SystemExit(main())
