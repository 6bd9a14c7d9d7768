"""`python -m services.sentiment`: serve at the address of the settings."""

import argparse
import sys

from pydantic import ValidationError

from services.common.bento import serve
from services.sentiment.settings import Settings


def main() -> None:
    argparse.ArgumentParser(prog="python -m services.sentiment", description=__doc__).parse_args()
    try:
        settings = Settings().sentiment
    except ValidationError as error:
        sys.exit(f"error: {error}")
    serve("services.sentiment.service:Sentiment", settings.host, settings.port)


if __name__ == "__main__":
    main()
