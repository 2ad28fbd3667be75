from audiojob_dev.cli import main

raise SystemExit(main())
