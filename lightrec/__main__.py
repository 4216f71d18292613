"""``python -m lightrec`` is the command ``lightrec``."""

from lightrec.cli.app import main

if __name__ == "__main__":
    main()
