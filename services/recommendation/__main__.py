"""`python -m services.recommendation`: make the model if the settings name none, then serve at their address."""

import argparse
import sys

from pydantic import ValidationError

from services.common.bento import serve
from services.common.packages import PackageUnavailableError
from services.recommendation.prepare import prepare
from services.recommendation.settings import Settings
from services.recommendation.tables import DataError


def main() -> None:
    argparse.ArgumentParser(prog="python -m services.recommendation", description=__doc__).parse_args()
    try:
        settings = Settings().recommendation
        if settings.model_path is None:
            prepare(settings)
    except (ValidationError, DataError, PackageUnavailableError) as error:
        sys.exit(f"error: {error}")
    serve("services.recommendation.service:Recommendation", settings.host, settings.port)


if __name__ == "__main__":
    main()
